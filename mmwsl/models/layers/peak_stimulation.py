"""Peaks of class maps, and the class scores that they give.

Peak stimulation of "Weakly Supervised Instance Segmentation using Class Peak
Response" (https://arxiv.org/abs/1804.00880), sections 3.1 and 3.2.

Shape shorthand: N images, C classes, (h, w) the grid of the class maps.
"""

from numbers import Real
from typing import Optional, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor

Threshold = Union[str, float, None]

THRESHOLDS = ('median', 'mean', 'max')


def find_peaks(
    maps: Tensor, window: int = 3, threshold: Threshold = 'median'
) -> Tensor:
    """Mark the local maxima of class maps.

    A cell is a peak if it is the first maximum of the window around it: no
    cell of the window is higher, and none before it in row-major order is
    equal. Cells beyond the border count as -inf. Its value must also reach
    the threshold. So every plateau that nothing near it exceeds has at least
    one peak, and two equal peaks are never within one window.

    Args:
        maps: Class maps (N, C, h, w) of any floating type. NaN counts as a
            peak, so that it shows in the scores instead of vanishing.
        window: Side of the square window in cells, odd.
        threshold: The least value of a peak: a number, or a statistic of
            each map on its own, 'median' (the lower one of an even number of
            values), 'mean' or 'max'. None accepts every local maximum.

    Returns:
        Boolean (N, C, h, w) that carries no gradient.

    Raises:
        ValueError: If the shape, the window or the threshold is unusable.
        TypeError: If the maps are not of a floating type, or the threshold
            is of another type.
    """
    _check_maps(maps)
    _check_window(window)
    values = _widen(maps.detach())
    height, width = values.shape[2:]
    # As images of one channel: pooling accepts no images but not no channels.
    _, first = F.max_pool2d(
        values.reshape(-1, 1, height, width),
        window,
        stride=1,
        padding=window // 2,
        return_indices=True,
    )
    cells = torch.arange(height * width, device=maps.device)
    peaks = first.view(values.shape) == cells.view(height, width)
    lowest = _lowest(values.flatten(2), threshold)
    if lowest is None:
        return peaks
    return peaks & ~(values < lowest)


def peak_stimulation(
    maps: Tensor,
    window: int = 3,
    threshold: Threshold = 'median',
    average_gradient: bool = True,
) -> Tuple[Tensor, Tensor]:
    """Score each class by the mean of its peaks (Eq. 2 and 3 of the paper).

    The gradient of a score reaches the peaks of its map only.

    Args:
        maps: Class maps (N, C, h, w).
        window: See :func:`find_peaks`.
        threshold: See :func:`find_peaks`.
        average_gradient: Whether each of a map's k peaks receives 1 / k of
            the gradient of the score, the derivative of the mean. Without,
            each receives all of it, as in the authors' code.

    Returns:
        Scores (N, C), in single precision for maps of half precision, and
        peaks, boolean (N, C, h, w). A map without peaks scores 0, and its
        gradient is 0.

    Raises:
        ValueError: As :func:`find_peaks`.
        TypeError: As :func:`find_peaks`.
    """
    peaks = find_peaks(maps, window, threshold)
    # In half precision the sum over a map loses digits.
    total = _widen(maps).masked_fill(~peaks, 0).sum(dim=(2, 3))
    scores = total / peaks.sum(dim=(2, 3)).clamp(min=1)
    if not average_gradient:
        scores = scores.detach() + (total - total.detach())
    return scores, peaks


def top_peaks(maps: Tensor, peaks: Tensor, counts: Tensor) -> Tensor:
    """Keep the highest peaks of each map, as many as there are objects.

    This is the spatial mask of "Object Counting and Instance Segmentation
    with Image-level Supervision" (https://arxiv.org/abs/1903.02494), section
    3.2: for a count t, every peak at least as high as the t-th highest peak.

    Args:
        maps: Class maps (N, C, h, w).
        peaks: Boolean (N, C, h, w).
        counts: Whole numbers (N, C).

    Returns:
        Boolean (N, C, h, w), a part of ``peaks``: all of them where a map
        has fewer than its count, more than the count where peaks are equal,
        none for counts of 0 and below. It carries no gradient.

    Raises:
        ValueError: If the shapes do not fit together.
        TypeError: If the maps are not of a floating type.
    """
    _check_maps(maps)
    if peaks.shape != maps.shape or counts.shape != maps.shape[:2]:
        raise ValueError(
            f'maps of shape {tuple(maps.shape)} need peaks of the same shape '
            f'and counts of shape {tuple(maps.shape[:2])}, got '
            f'{tuple(peaks.shape)} and {tuple(counts.shape)}.'
        )
    peaks = peaks.bool()
    values = _widen(maps.detach()).masked_fill(~peaks, float('-inf'))
    ranked = values.flatten(2).sort(dim=2, descending=True).values
    counts = counts.to(maps.device).long()
    rank = (counts - 1).clamp(0, ranked.shape[2] - 1)
    lowest = ranked.gather(2, rank[..., None])[..., None]
    return peaks & (values >= lowest) & (counts > 0)[..., None, None]


def _widen(maps: Tensor) -> Tensor:
    """Return maps in single precision at least."""
    return maps if maps.dtype == torch.float64 else maps.float()


def _lowest(cells: Tensor, threshold: Threshold) -> Union[Tensor, float, None]:
    """Turn a threshold into values (N, C, 1, 1) or into a number.

    Args:
        cells: Class maps (N, C, h * w).
        threshold: See :func:`find_peaks`.
    """
    if threshold is None:
        return None
    if isinstance(threshold, Real) and not isinstance(threshold, bool):
        return float(threshold)
    if not isinstance(threshold, str):
        raise TypeError(
            'threshold must be a name, a number or None, got '
            f'{type(threshold).__name__}.'
        )
    value: Optional[Tensor] = None
    if threshold == 'median':
        # torch.median is not deterministic on GPUs.
        value = cells.sort(dim=2).values[..., (cells.shape[2] - 1) // 2]
    elif threshold == 'max':
        value = cells.amax(dim=2)
    elif threshold == 'mean':
        # Rounding must not lift the mean of a constant map above the map.
        value = torch.minimum(cells.mean(dim=2), cells.amax(dim=2))
    if value is None:
        raise ValueError(
            f"threshold must be one of {THRESHOLDS}, got '{threshold}'."
        )
    return value[..., None, None]


def _check_maps(maps: Tensor) -> None:
    if not maps.is_floating_point():
        raise TypeError(f'maps must be of a floating type, got {maps.dtype}.')
    if maps.dim() != 4 or 0 in maps.shape[2:]:
        raise ValueError(
            'maps must have the shape (N, C, h, w) with h, w > 0, got '
            f'{tuple(maps.shape)}.'
        )


def _check_window(window: int) -> None:
    if not isinstance(window, int) or window < 1 or window % 2 == 0:
        raise ValueError(
            f'window must be an odd number of cells, got {window!r}.'
        )
