"""Arrays of tensors, and arithmetic of planes.

(H, W): height and width of a plane.
"""

from typing import Any, Tuple

import cv2
import numpy as np
import torch


def array(value: Any) -> np.ndarray:
    """Return a tensor, or anything like an array, as a numpy array."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        # numpy has no bfloat16, which mixed precision may leave behind.
        if value.is_floating_point() and value.dtype != torch.float64:
            value = value.float()
        return value.numpy()
    return np.asarray(value)


def bounded_size(shape: Tuple[int, ...], pixels: int) -> Tuple[int, int]:
    """Return the size of a grid over a plane that has not too many points.

    Args:
        shape: H and W.
        pixels: The most points; a smaller plane keeps its size.

    Returns:
        Height and width, of the same proportions as far as that goes.
    """
    height, width = shape
    if height * width <= pixels:
        return height, width
    part = (pixels / (height * width)) ** 0.5
    # A line has one point across, however long it is.
    rows = min(max(int(height * part), 1), pixels)
    return rows, min(max(int(width * part), 1), pixels // rows)


def resize(plane: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Bring a plane (H, W) or (H, W, 3) to another size, if it is another.

    Downwards pixels are averaged, upwards they are interpolated.
    """
    if plane.shape[:2] == tuple(size):
        return plane
    smaller = size[0] * size[1] < plane.shape[0] * plane.shape[1]
    way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    out: np.ndarray = cv2.resize(plane, size[::-1], interpolation=way)
    return out
