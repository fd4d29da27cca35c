"""Overlap of binary masks.

P: number of masks of the first set. K: number of masks of the second set.
(H, W): size of the image in pixels.
"""

from typing import Tuple

import numpy as np

# Values converted to float32 at once, 4 MB. A chunk never has the 2^24 pixels
# above which float32 does not hold every integer.
_CHUNK = 1 << 20


def mask_intersections(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Count the pixels that two masks share, for all pairs.

    One matrix product over pixels; float32 is exact there as long as a
    product counts fewer than 2^24 pixels, so larger images go in parts.

    Args:
        a (np.ndarray): bool (P, H, W).
        b (np.ndarray): bool (K, H, W).

    Returns:
        np.ndarray: float64 (P, K), whole numbers.

    Raises:
        ValueError: If the masks are of different sizes or no stacks.
    """
    a, b = _flatten(a, b)
    total = np.zeros((len(a), len(b)))
    # Few pixels at a time: the float copies then stay in the cache.
    chunk = max(1 << 10, _CHUNK // (len(a) + len(b) + 1))
    for start in range(0, a.shape[1], chunk):
        part = slice(start, start + chunk)
        total += a[:, part].astype(np.float32) @ b[:, part].T.astype(
            np.float32
        )
    return total


def mask_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of two sets of masks, for all pairs.

    Args:
        a (np.ndarray): bool (P, H, W).
        b (np.ndarray): bool (K, H, W).

    Returns:
        np.ndarray: float64 (P, K) in [0, 1]; 0 where both masks are empty.

    Raises:
        ValueError: If the masks are of different sizes or no stacks.
    """
    intersections = mask_intersections(a, b)
    a, b = _flatten(a, b)
    areas_a, areas_b = (
        np.count_nonzero(m, axis=1).astype(np.float64) for m in (a, b)
    )
    unions = areas_a[:, None] + areas_b[None] - intersections
    iou: np.ndarray = intersections / np.maximum(unions, 1)
    return iou


def _flatten(a: np.ndarray, b: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    if a.ndim != 3 or b.ndim != 3 or a.shape[1:] != b.shape[1:]:
        raise ValueError(
            'masks must be two stacks of the same height and width, got '
            f'shapes {a.shape} and {b.shape}'
        )
    pixels = a.shape[1] * a.shape[2]
    return (
        np.asarray(a, dtype=bool).reshape(len(a), pixels),
        np.asarray(b, dtype=bool).reshape(len(b), pixels),
    )
