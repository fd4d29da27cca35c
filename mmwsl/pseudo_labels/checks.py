"""Checking what label maps are made of.

Every function returns numpy arrays. Shape shorthand: (H, W) the image, K
classes.
"""

from typing import Optional, Tuple, Union

import numpy as np
from torch import Tensor

IGNORE = 255
# A label map holds c + 1 for class c.
LARGEST_CLASS = IGNORE - 2
Array = Union[np.ndarray, Tensor]
Shape = Optional[Tuple[int, ...]]


def check_plane(values: Array, name: str, shape: Shape = None) -> np.ndarray:
    """Return an array (H, W), of the given shape if there is one."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    plane = np.asarray(values)
    if plane.ndim != 2:
        raise ValueError(f'{name} must have shape (H, W), got {plane.shape}')
    if shape is not None and plane.shape != tuple(shape):
        raise ValueError(
            f'{name} is {plane.shape[1]} x {plane.shape[0]} pixels, but the '
            f'image is {shape[1]} x {shape[0]}'
        )
    return plane


def check_map(
    values: Array,
    name: str,
    shape: Shape = None,
    low: float = -np.inf,
    high: float = np.inf,
) -> np.ndarray:
    """Return a plane of finite floats, float32 or float64, from low to high.

    Raises:
        TypeError: If it is not of floats.
        ValueError: If the shape does not fit or a value is out of range.
    """
    plane = check_plane(values, name, shape)
    if plane.dtype.kind != 'f':
        raise TypeError(f'{name} must hold floats, got {plane.dtype}')
    check_range(plane, name, low, high)
    return plane.astype(np.float32) if plane.itemsize < 4 else plane


def check_range(
    values: np.ndarray, name: str, low: float = -np.inf, high: float = np.inf
) -> None:
    """Raise ValueError unless all values are finite and from low to high."""
    if not values.size:
        return
    least, most = values.min(), values.max()
    # A NaN is the least and the most.
    if not (np.isfinite(least) and np.isfinite(most)):
        raise ValueError(f'{name} holds values that are not finite')
    if least < low or most > high:
        limits = f'in [{low:g}, {high:g}]' if high < np.inf else f'>= {low:g}'
        raise ValueError(
            f'{name} must be {limits}, but its values reach from {least:g} '
            f'to {most:g}'
        )


def check_label(values: Array, name: str, shape: Shape = None) -> np.ndarray:
    """Return a copy of a label map as uint8.

    Raises:
        TypeError: If it is not of integers.
        ValueError: If the shape does not fit or a value is out of range.
    """
    plane = check_plane(values, name, shape)
    if plane.dtype.kind not in 'ui':
        raise TypeError(f'{name} must hold integers, got {plane.dtype}')
    if plane.dtype != np.uint8:
        check_range(plane, name, 0, IGNORE)
    return plane.astype(np.uint8)


def check_classes(labels: Array, name: str, number: int) -> np.ndarray:
    """Return the indices of so many different classes as int64 (K,).

    Raises:
        ValueError: If they are something else, or do not fit into a label
            map.
    """
    if isinstance(labels, Tensor):
        labels = labels.detach().cpu().numpy()
    given = np.asarray(labels)
    if given.shape != (number,):
        raise ValueError(
            f'{name} have shape {given.shape}, but there are {number} maps'
        )
    good = given.dtype.kind in 'fiu'
    if good and number:
        good = 0 <= given.min() <= given.max() <= LARGEST_CLASS
        good = good and bool((given == np.floor(given)).all())
    if not good or len(np.unique(given)) != number:
        raise ValueError(
            f'{name} {given.tolist()} are not different class indices from 0 '
            f'to {LARGEST_CLASS}'
        )
    return given.astype(np.int64)
