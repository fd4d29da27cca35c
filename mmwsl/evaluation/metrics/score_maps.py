"""Score maps and ground truth of localisation, from a sample's fields."""

from __future__ import annotations

from typing import Any, Mapping, Optional

import cv2
import numpy as np

from mmwsl.evaluation.functional import check_score_map
from mmwsl.evaluation.metrics.fields import (
    array,
    field,
    label_indices,
    pixels,
)
from mmwsl.utils.masks import check_boxes

# By how many pixels boxes leave their image where sets round them.
ROUNDING = 0.5


def single_label(sample: Mapping[str, Any]) -> int:
    """The class to localise.

    Raises:
        ValueError: If the image has not exactly one label.
    """
    labels = label_indices(sample, 'gt_label')
    if len(labels) != 1:
        raise ValueError(
            f'localisation needs one label, got {labels.tolist()}: wrap the '
            "data set in dict(type='SingleLabelEntries', source=...)"
        )
    return int(labels[0])


def check_label(
    sample: Mapping[str, Any], dataset_meta: Optional[Mapping[str, Any]]
) -> None:
    """Raise ValueError if a label, where known, is none of the classes."""
    classes = (dataset_meta or {}).get('classes')
    if classes and sample.get('gt_label') is not None:
        label_indices(sample, 'gt_label', len(classes))


def score_map(
    sample: Mapping[str, Any], size: Optional[int] = 224
) -> np.ndarray:
    """The map of a sample's class, in [0, 1].

    ``pred_score_map`` (1, h, w), or without it the map of ``gt_label`` in
    ``pred_maps``. A map of another size is resized (bicubic), and it, or one
    from ``pred_maps``, min-max scaled; a constant one becomes 0.

    Args:
        sample (Mapping): A data sample as a dict.
        size (int, optional): Height and width; None keeps the map's own.

    Returns:
        np.ndarray: (size, size) or (h, w), float.

    Raises:
        ValueError: If there is no map or it is not in [0, 1].
    """
    finished = sample.get('pred_score_map') is not None
    if finished:
        found = pixels(sample, 'pred_score_map')
    else:
        found = _class_map(sample)
    check_score_map(found)
    shape = found.shape if size is None else (size, size)
    if found.shape != shape:
        plane = found.astype(np.result_type(found.dtype, np.float32))
        found = cv2.resize(plane, shape, interpolation=cv2.INTER_CUBIC)
    elif finished:
        return found
    return min_max(found)


def min_max(plane: np.ndarray) -> np.ndarray:
    """Scale a map to [0, 1]; a constant one becomes 0."""
    low, high = plane.min(), plane.max()
    if low == high:
        return np.zeros_like(plane)
    # Rounding may not leave the range.
    return np.clip((plane - low) / (high - low), 0, 1)


def _class_map(sample: Mapping[str, Any]) -> np.ndarray:
    maps, label = pixels(sample, 'pred_maps'), single_label(sample)
    index = np.flatnonzero(label_indices(sample, 'pred_map_labels') == label)
    if not len(index):
        raise ValueError(
            f'pred_maps has no map of the class {label}: the head must keep '
            "it, as keep='given' does"
        )
    plane: np.ndarray = maps[index[0]]
    return plane


def gt_boxes(sample: Mapping[str, Any], inside: bool = True) -> np.ndarray:
    """The boxes (G, 4) of a sample's class in pixels of the image.

    Objects marked difficult are left out, unless there are no others.

    Args:
        sample (Mapping): A data sample as a dict.
        inside (bool): Whether boxes must lie in the image, but for what
            rounding may add.

    Raises:
        ValueError: If there is no box, or one is not finite, inverted or
            not inside the image.
    """
    instances = field(sample, 'gt_instances')
    boxes = array(instances['bboxes']).reshape(-1, 4)
    if 'labels' in instances:
        own = array(instances['labels']) == single_label(sample)
    else:
        own = np.ones(len(boxes), dtype=bool)
    if not own.any():
        raise ValueError(f'no box of the class {single_label(sample)}')
    if 'difficult' in instances:
        easy = own & ~array(instances['difficult']).astype(bool)
        own = easy if easy.any() else own
    check_boxes(boxes[own], original_size(sample), inside, ROUNDING)
    return boxes[own]


def original_size(sample: Mapping[str, Any]) -> Any:
    """Height and width of the original image."""
    height, width = field(sample, 'ori_shape')[:2]
    return int(height), int(width)


def object_mask(
    sample: Mapping[str, Any], key: Optional[str], ignore_index: int
) -> np.ndarray:
    """The mask of a sample's class: 1, 0 others, and ``ignore_index``.

    Args:
        sample (Mapping): A data sample as a dict.
        key (str, optional): ``gt_loc_mask``, which has these values already,
            or a mask of classes, where class c is c + 1. None for the
            former if it is there, else ``gt_sem_seg``.
        ignore_index (int): Value of pixels left out.

    Returns:
        np.ndarray: (H, W).
    """
    if key is None:
        ready = sample.get('gt_loc_mask') is not None
        key = 'gt_loc_mask' if ready else 'gt_sem_seg'
    mask = pixels(sample, key)
    if key == 'gt_loc_mask':
        return mask
    own = mask == single_label(sample) + 1
    return np.where(mask == ignore_index, ignore_index, own.astype(np.uint8))
