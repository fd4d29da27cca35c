"""Arithmetic of peak response maps."""

import numpy as np


def to_unit_sum(maps: np.ndarray) -> np.ndarray:
    """Divide every map (P, H, W) by its sum; maps of zeros stay zero."""
    total = maps.sum(axis=(1, 2), keepdims=True, dtype=np.float64)
    scaled: np.ndarray = maps / np.where(total > 0, total, 1)
    return scaled.astype(maps.dtype)
