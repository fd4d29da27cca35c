"""Hiding what earlier classifiers have looked at."""

import os
from typing import Any, Dict, Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from mmwsl.pseudo_labels.regions import read_regions
from mmwsl.registry import TRANSFORMS


@TRANSFORMS.register_module()
class EraseRegions(BaseTransform):
    """Fill mined regions with the mean pixel of the data set.

    Adversarial erasing (https://arxiv.org/abs/1703.08448): the regions of
    all classes and steps are hidden. They are read from
    ``folder/img_id.npz`` when the image is, so workers that live on see
    regions written later.

    It comes right after the image is loaded, before anything moves it.
    Required keys: ``img``, ``img_id``. Changed key: ``img``.

    Args:
        folders (Sequence[str]): The folders of all steps so far.
        mean (Sequence[float]): Pixel to fill with, in the order of ``img``,
            which is BGR.

    Raises:
        FileNotFoundError: If the regions of an image are missing.
        ValueError: If they are broken or of another size than the image.
    """

    def __init__(self, folders: Sequence[str], mean: Sequence[float]) -> None:
        if isinstance(folders, str):
            raise ValueError(
                f'EraseRegions: folders must be a list, got {folders!r}'
            )
        self.folders = list(folders)
        self.mean = tuple(mean)

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Erase in ``img``."""
        img = results['img']
        hidden = np.zeros(img.shape[:2], bool)
        for folder in self.folders:
            path = os.path.join(folder, f'{results["img_id"]}.npz')
            hidden |= read_regions(path, img.shape[:2])[0].any(axis=0)
        if hidden.any():
            # Data sets may hand out the same array again.
            img = img.copy()
            img[hidden] = np.round(self.mean).astype(img.dtype)
            results['img'] = img
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(folders={self.folders}, mean={self.mean})'
        )
