"""How much of a response map lies on its object.

The measure of PRM (https://arxiv.org/abs/1804.00880), section 4.

P: response maps. n: instances. (H, W): size of the image in pixels.
"""

from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

MATCHES = ('peak', 'best')


def map_quality(
    maps: np.ndarray, masks: np.ndarray, valid: Any = None
) -> np.ndarray:
    """Compute ``sum(R * G) / sum(R)`` for all pairs.

    Args:
        maps (np.ndarray): (P, H, W) >= 0, R.
        masks (np.ndarray): bool (n, H, W), G.
        valid (np.ndarray, optional): bool (H, W), the pixels that count.

    Returns:
        np.ndarray: (P, n) in [0, 1], NaN for maps whose sum is 0.

    Raises:
        ValueError: If sizes differ or a map holds NaN or negative values.
    """
    if maps.shape[1:] != masks.shape[1:]:
        raise ValueError(
            f'response maps {maps.shape} and masks {masks.shape} differ in '
            'size'
        )
    maps = np.asarray(maps, dtype=np.float64)
    if maps.size and not maps.min() >= 0:
        raise ValueError('response maps hold NaN or negative values')
    if valid is not None:
        maps = maps * valid
    total = maps.sum(axis=(1, 2))
    inside = np.tensordot(maps, masks.astype(np.float64), ([1, 2], [1, 2]))
    quality: np.ndarray = inside / np.where(total > 0, total, np.nan)[:, None]
    return quality


def assign_maps(
    quality: np.ndarray,
    labels: np.ndarray,
    points: np.ndarray,
    masks: np.ndarray,
    gt_labels: np.ndarray,
    match: str = 'peak',
) -> np.ndarray:
    """Say of which instance each response map is.

    Args:
        quality (np.ndarray): (P, n) result of :func:`map_quality`.
        labels (np.ndarray): (P,) classes of the maps.
        points (np.ndarray): (P, 2) peaks, x and y in pixels.
        masks (np.ndarray): bool (n, H, W).
        gt_labels (np.ndarray): (n,) classes of the instances.
        match (str): 'peak': the instance of the map's class in which the
            peak lies. 'best': the one of its class with the best quality.

    Returns:
        np.ndarray: int64 (P,), -1 for none.
    """
    allowed = labels[:, None] == gt_labels
    if match == 'peak':
        height, width = masks.shape[1:]
        columns, rows = np.floor(points.T).astype(np.int64)
        rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
        allowed = allowed & masks[:, rows, columns].T
    value = np.where(allowed, np.nan_to_num(quality), -1.0)
    if value.shape[1] == 0:
        return np.full(len(labels), -1, dtype=np.int64)
    return np.where(value.max(axis=1) >= 0, value.argmax(axis=1), -1)


def binned_means(
    values: np.ndarray, keys: np.ndarray, edges: Sequence[float]
) -> List[Tuple[int, float]]:
    """Average values in bins of a key.

    Args:
        values (np.ndarray): (k,).
        keys (np.ndarray): (k,).
        edges (Sequence[float]): Ascending; bin i holds the keys from edge
            i - 1 up to, and without, edge i; the first and last are open.

    Returns:
        list: Number and mean (NaN for none) of each of the len(edges) + 1
        bins.
    """
    bins = np.searchsorted(np.asarray(edges), keys, side='right')
    result = []
    for index in range(len(edges) + 1):
        own = values[bins == index]
        result.append((len(own), float(own.mean()) if len(own) else np.nan))
    return result


def mean_by_object(
    objects: np.ndarray, values: np.ndarray
) -> Dict[int, float]:
    """Average the values (k,) that belong to the same object (k,)."""
    return {
        int(index): float(values[objects == index].mean())
        for index in np.unique(objects)
    }
