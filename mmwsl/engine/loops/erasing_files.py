"""What adversarial erasing makes of images.

Shape shorthand: K classes, (H, W) the image.
"""

import os
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from mmwsl.datasets.transforms import LoadSaliency
from mmwsl.pseudo_labels import mine_regions, regions_to_label
from mmwsl.pseudo_labels.label_files import write_label_map
from mmwsl.pseudo_labels.regions import (
    IGNORE,
    merge_steps,
    region_file,
    write_regions,
)
from mmwsl.utils.files import join_inside


def sample_regions(
    sample: Any, mode: str, fraction: float
) -> Tuple[np.ndarray, np.ndarray]:
    """Mine the regions of one image.

    Args:
        sample: With ``pred_maps``, ``pred_map_labels`` and ``gt_label``.
        mode: See :func:`mmwsl.pseudo_labels.mine_regions`.
        fraction: As well.

    Returns:
        Regions bool (K, H, W) and their class indices (K,).

    Raises:
        ValueError: If the maps are not those of the given classes.
    """
    labels = sample.pred_map_labels.cpu().numpy()
    if not len(sample.gt_label):
        # Its maps are those of the predicted classes.
        shape = sample.pred_maps.data.shape[1:]
        return np.zeros((0, *shape), bool), np.zeros(0, labels.dtype)
    if sorted(labels.tolist()) != sorted(sample.gt_label.tolist()):
        raise ValueError(
            f'{sample.img_id}: AdversarialErasingLoop needs maps of the '
            "given classes: set model.head.keep='given'"
        )
    maps = sample.pred_maps.data.cpu().numpy()
    regions = np.zeros(maps.shape, bool)
    for region, plane in zip(regions, maps):
        region[:] = mine_regions(plane, mode, fraction)
    return regions, labels


def write_merged(
    root: str,
    steps: int,
    img_ids: Sequence[str],
    label_dir: str,
    saliency: Optional[LoadSaliency],
    threshold: float,
) -> List[int]:
    """Write the unions of regions and, with saliency, the label maps.

    Args:
        root: Folder of the steps' regions.
        steps: How many of them are merged.
        img_ids: The images.
        label_dir: Folder of the label maps.
        saliency: Loads saliency maps.
        threshold: Saliency below it is background.

    Returns:
        Numbers of pixels that are labelled, that are foreground, and of all
        label maps.
    """
    counts = [0, 0, 0]
    for img_id in img_ids:
        regions, labels = merge_steps(root, steps, img_id)
        path = region_file(os.path.join(root, 'union'), img_id)
        write_regions(path, regions, labels)
        if saliency is None:
            continue
        entry = dict(img_id=img_id, ori_shape=regions.shape[1:])
        plane = saliency(entry)['saliency']
        label = regions_to_label(regions, labels, plane, threshold)
        write_label_map(join_inside(label_dir, img_id, '.png'), label)
        known = label != IGNORE
        counts[0] += int(known.sum())
        counts[1] += int((known & (label > 0)).sum())
        counts[2] += label.size
    return counts
