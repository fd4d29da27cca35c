"""Where the class map of an object speaks against it.

C: classes. (h, w): grid of a map. (H, W): size of the image in pixels.
"""

from typing import Tuple

import cv2
import numpy as np
from PIL import Image

MAP_RESIZES = ('bilinear', 'released')


def background_masks(
    class_maps: np.ndarray,
    size: Tuple[int, int],
    bg_factor: float = 0.95,
    resize: str = 'bilinear',
) -> np.ndarray:
    """Mark where class maps are below a part of their mean.

    Args:
        class_maps (np.ndarray): (C, h, w).
        size (tuple[int]): (H, W).
        bg_factor (float): The part; the mean is that of the resized map.
        resize (str): 'bilinear' resizes the values themselves (pixel
            centres, no aligned corners). 'released' does what the released
            code of PRM does: min-max scaled to 0 to 255, rounded, and
            resized as a bicubic 8-bit picture.

    Returns:
        np.ndarray: bool (C, H, W).

    Raises:
        ValueError: If ``resize`` is neither, or a map holds NaN or infinity.
    """
    if resize not in MAP_RESIZES:
        raise ValueError(
            f'map_resize must be one of {MAP_RESIZES}, got {resize!r}'
        )
    if not np.isfinite(class_maps).all():
        raise ValueError('class maps hold NaN or infinity')
    masks = np.empty((len(class_maps), *size), dtype=bool)
    for mask, grid in zip(masks, class_maps):
        if resize == 'bilinear':
            image = cv2.resize(grid.astype(np.float32), size[::-1])
        else:
            picture = Image.fromarray(_to_bytes(grid))
            image = np.asarray(
                picture.resize(size[::-1], Image.Resampling.BICUBIC)
            )
        np.less(image, bg_factor * cv2.mean(image)[0], out=mask)
    return masks


def _to_bytes(grid: np.ndarray) -> np.ndarray:
    """Scale a map to 0 to 255 and round, halves up."""
    low, high = float(grid.min()), float(grid.max())
    scale = 255 / (high - low) if high > low else 1.0
    return ((grid - low) * scale + 0.5).astype(np.uint8)
