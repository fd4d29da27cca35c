"""Quality of regions that carry a class, against masks.

Shape shorthand: K: classes of an image, C: classes of the data set.
Masks hold 0 for background and c + 1 for class c.
"""

from __future__ import annotations

from typing import Dict

import numpy as np


def region_counts(
    regions: np.ndarray,
    labels: np.ndarray,
    mask: np.ndarray,
    num_classes: int,
    ignore_index: int = 255,
) -> np.ndarray:
    """Count the pixels of one image that regions get right.

    Regions of different classes may overlap; each is scored for itself.

    Args:
        regions (np.ndarray): bool (K, H, W).
        labels (np.ndarray): (K,) their class indices.
        mask (np.ndarray): (H, W) mask of integers.
        num_classes (int): C.
        ignore_index (int): Mask value of pixels left out.

    Returns:
        np.ndarray: int64 (3, C), additive over images: pixels of a class in
        its region, pixels of its region, and pixels of the class.

    Raises:
        ValueError: If sizes differ or a class does not exist.
    """
    if regions.shape[1:] != mask.shape:
        raise ValueError(
            f'regions {regions.shape[1:]} and mask {mask.shape} differ in size'
        )
    if len(labels) and not 0 <= min(labels) <= max(labels) < num_classes:
        raise ValueError(
            f'regions of classes {list(labels)}, but there are {num_classes}'
        )
    valid = mask != ignore_index
    if mask[valid].size and mask[valid].max() > num_classes:
        raise ValueError(
            f'mask holds {mask[valid].max()}, but there are {num_classes} '
            'classes'
        )
    counts = np.zeros((3, num_classes), np.int64)
    counts[2] = np.bincount(mask[valid], minlength=num_classes + 1)[
        1 : num_classes + 1
    ]
    for region, label in zip(regions, labels):
        counts[0, label] += int((region & (mask == label + 1)).sum())
        counts[1, label] += int((region & valid).sum())
    return counts


def region_scores(counts: np.ndarray) -> Dict[str, float]:
    """Return recall and precision, means over classes.

    Args:
        counts (np.ndarray): (3, C), summed over images.

    Returns:
        dict: ``recall`` and ``precision`` as fractions, NaN over nothing.
    """
    scores = {}
    for name, row in (('recall', 2), ('precision', 1)):
        known = counts[row] > 0
        shares = counts[0, known] / counts[row, known]
        scores[name] = float(shares.mean()) if known.any() else float('nan')
    return scores
