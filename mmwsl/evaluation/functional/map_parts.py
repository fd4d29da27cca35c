"""Instances from class maps alone, a baseline.

K: maps of an image. C: classes. M: instances. (H, W): size of the image in
pixels.
"""

from typing import Dict

import cv2
import numpy as np


def map_parts(
    maps: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    threshold: float,
) -> Dict[str, np.ndarray]:
    """Take the connected parts of thresholded class maps as instances.

    Pixels that touch at a corner are connected. The score of a part is that
    of its class times the largest value of the map inside.

    Args:
        maps (np.ndarray): (K, H, W) in [0, 1].
        labels (np.ndarray): (K,) classes of the maps.
        scores (np.ndarray): (C,) of the classes.
        threshold (float): Parts are above it.

    Returns:
        dict: ``labels`` int64 (M,), ``scores`` (M,) and ``masks`` bool (M, H,
        W), map by map.
    """
    found_labels, found_scores, masks = [], [], []
    for plane, label in zip(maps, labels):
        above = (plane > threshold).astype(np.uint8)
        count, parts = cv2.connectedComponents(above)
        for number in range(1, count):
            mask = parts == number
            masks.append(mask)
            found_labels.append(label)
            found_scores.append(scores[label] * plane[mask].max())
    return dict(
        labels=np.array(found_labels, dtype=np.int64),
        scores=np.array(found_scores, dtype=np.float64),
        masks=np.array(masks, dtype=bool).reshape(-1, *maps.shape[1:]),
    )
