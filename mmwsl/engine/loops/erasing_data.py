"""The data sets of adversarial erasing.

Shape shorthand: (H, W) the image.
"""

from typing import Any, List, Optional, Tuple

import numpy as np

from mmwsl.datasets import base_datasets
from mmwsl.datasets.transforms import EraseRegions, LoadSaliency


def _transforms(dataset: Any) -> List[Any]:
    return list(getattr(dataset.pipeline, 'transforms', []))


def find_erasers(dataset: Any) -> List[EraseRegions]:
    """Return the erasing transforms of a data set.

    Raises:
        ValueError: If there is none, or if one comes after a transform that
            may have moved the image.
    """
    erasers = []
    for inner in base_datasets(dataset):
        loading, eraser = _split(inner)
        moved = [
            name
            for name in (type(transform).__name__ for transform in loading)
            if not name.startswith('Load')
        ]
        if moved:
            raise ValueError(
                'AdversarialErasingLoop: EraseRegions must come right after '
                f'the image is loaded, but {moved[0]} comes before it'
            )
        erasers.append(eraser)
    return erasers


def _split(dataset: Any) -> Tuple[List[Any], EraseRegions]:
    """Return what comes before the erasing transform, and that."""
    transforms = _transforms(dataset)
    for number, transform in enumerate(transforms):
        if isinstance(transform, EraseRegions):
            return transforms[:number], transform
    raise ValueError(
        'AdversarialErasingLoop: the pipelines of train_dataloader and '
        "predict_dataloader need dict(type='EraseRegions') after the image "
        'is loaded'
    )


def survey(dataset: Any, saliency: Optional[LoadSaliency]) -> List[float]:
    """Look at all images once, before hours are spent on them.

    Args:
        dataset: The data set that regions are mined of.
        saliency: Loads the saliency map of each image, and so checks it.

    Returns:
        The mean pixel (3,), in the order of the images, which is BGR.

    Raises:
        FileNotFoundError: If an image or a saliency map is missing.
        ValueError: If one is broken, or of another size than the other.
    """
    total, pixels = np.zeros(3), 0
    for inner in base_datasets(dataset):
        loading = _split(inner)[0]
        for index in range(len(inner)):
            results = inner.get_data_info(index)
            for transform in loading:
                results = transform(results)
            if saliency is not None:
                results = saliency(results)
            img = results['img']
            total += img.reshape(-1, img.shape[-1]).sum(axis=0)
            pixels += img.shape[0] * img.shape[1]
    mean: List[float] = (total / max(pixels, 1)).tolist()
    return mean
