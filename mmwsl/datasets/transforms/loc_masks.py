"""Masks of the objects that an image is to be localised by.

(H, W): size of the original image.
"""

from typing import Any, Dict, Optional, Tuple

import cv2
import numpy as np

from mmwsl.datasets.transforms.masks import read_index_mask

IGNORED = 255


def object_mask(
    annotation: Dict[str, Any], size: Tuple[int, int]
) -> np.ndarray:
    """Join the masks of an image's objects and its ignore regions.

    Masks need not have the size of the image: each is brought to ``size`` by
    nearest neighbour on its own, as published (OpenImages30k).

    Args:
        annotation (dict): ``object_masks`` and ``ignore_masks``, paths of
            pictures in which 0 is outside.
        size (tuple[int]): Height and width of the result.

    Returns:
        np.ndarray: uint8 ``size``: 1 in any object, else 255 in any ignore
        region, else 0.

    Raises:
        FileNotFoundError: If a mask is missing.
        ValueError: If a mask cannot be read.
    """
    joined = np.zeros(size, dtype=np.uint8)
    for key, value in (('ignore_masks', IGNORED), ('object_masks', 1)):
        for path in annotation[key]:
            plane = (read_index_mask(path) > 0).astype(np.uint8)
            joined[resize_mask(plane, size) > 0] = value
    return joined


def class_mask(seg_map: np.ndarray, label: int) -> np.ndarray:
    """The mask of one class: 1, 0 others, 255 stays.

    Args:
        seg_map (np.ndarray): (H, W), class c is c + 1.
        label (int): The class c.

    Returns:
        np.ndarray: uint8 (H, W).
    """
    mask = (seg_map == label + 1).astype(np.uint8)
    mask[seg_map == IGNORED] = IGNORED
    return mask


def resize_mask(mask: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Bring a uint8 mask to (height, width) by nearest neighbour."""
    resized: np.ndarray = cv2.resize(
        mask, size[::-1], interpolation=cv2.INTER_NEAREST
    )
    return resized


def only_class(
    ground_truth: Dict[str, Any], label: Optional[int]
) -> Dict[str, Any]:
    """Leave nothing but one class in what was loaded.

    Args:
        ground_truth (dict): ``gt_sem_seg``, ``gt_body_seg``,
            ``gt_instances`` as far as they were loaded.
        label (int | None): The class, None for all.

    Returns:
        dict: The same with other classes as background and their objects
        left out.
    """
    if label is None:
        return ground_truth
    narrow = dict(ground_truth)
    for key in ('gt_sem_seg', 'gt_body_seg'):
        if key in narrow:
            kept = np.isin(narrow[key], (label + 1, IGNORED))
            narrow[key] = np.where(kept, narrow[key], 0)
    if 'gt_instances' in narrow:
        instances = narrow['gt_instances']
        own = instances['labels'] == label
        narrow['gt_instances'] = {k: v[own] for k, v in instances.items()}
    return narrow
