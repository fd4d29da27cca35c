"""Non-maximum suppression of masks.

P: masks before, M: masks after.
"""

from typing import List, Tuple

import numpy as np


def suppress(
    scores: np.ndarray, ious: np.ndarray, threshold: float
) -> Tuple[np.ndarray, np.ndarray]:
    """Keep the best of masks that overlap.

    Masks are taken by falling score, of equal ones the first; each one that
    is still there suppresses all later ones whose overlap with it is above
    the threshold.

    Args:
        scores (np.ndarray): (P,).
        ious (np.ndarray): (P, P) intersection over union.
        threshold (float): In [0, 1].

    Returns:
        tuple: int64 arrays ``kept`` (M,), best first, and ``owner`` (P,),
        the position in ``kept`` of the mask itself or of the one that
        suppressed it.
    """
    owner = np.full(len(scores), -1, dtype=np.int64)
    kept: List[int] = []
    for index in np.argsort(-scores, kind='stable'):
        if owner[index] >= 0:
            continue
        owner[(owner < 0) & (ious[index] > threshold)] = len(kept)
        # An empty mask does not overlap even itself.
        owner[index] = len(kept)
        kept.append(int(index))
    return np.array(kept, dtype=np.int64), owner


def merge_maps(maps: np.ndarray, owner: np.ndarray, count: int) -> np.ndarray:
    """Add the maps of suppressed masks to their survivors'.

    Args:
        maps (np.ndarray): (P, H, W).
        owner (np.ndarray): (P,) result of :func:`suppress`.
        count (int): M.

    Returns:
        np.ndarray: (M, H, W) of the type of ``maps``.
    """
    groups = np.arange(count)[:, None] == owner
    return np.tensordot(groups.astype(maps.dtype), maps, axes=1)
