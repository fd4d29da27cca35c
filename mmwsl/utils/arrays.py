"""Arithmetic of planes: class maps, label maps and masks.

(H, W): height and width of a plane. K: classes. P: masks.
"""

from typing import Any, List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np
import torch
from torch import Tensor

BACKGROUNDS = ('constant', 'power', 'saliency')
# Values converted to float32 at once, 4 MB.
_CHUNK = 1 << 20


def array(value: Any) -> np.ndarray:
    """Return a tensor, or anything like an array, as a numpy array."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        # numpy has no bfloat16, which mixed precision may leave behind.
        if value.is_floating_point() and value.dtype != torch.float64:
            value = value.float()
        return value.numpy()
    return np.asarray(value)


def check_same_size(
    what: str, shape: Sequence[int], other: str, expected: Sequence[int]
) -> None:
    """Refuse a plane whose height and width are not those of another one.

    The error says ``what`` it is, as 'a.png: mask is', and what it has to
    fit, as 'its image is'.
    """
    height, width = shape[:2]
    rows, columns = expected[:2]
    if (height, width) != (rows, columns):
        raise ValueError(
            f'{what} {width} x {height} pixels, but {other} {columns} x {rows}'
        )


def spread(total: int, number: int) -> List[int]:
    """Return at most ``number`` of so many places, at equal distances."""
    number = max(min(number, total), 0)
    return np.linspace(0, total - 1, number).round().astype(int).tolist()


def bounded_size(shape: Tuple[int, ...], pixels: int) -> Tuple[int, int]:
    """Return the size of a grid over a plane (H, W) of at most ``pixels``.

    A smaller plane keeps its size, others their proportions as far as whole
    numbers allow.
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


def unflip(planes: Any, direction: Optional[str]) -> Any:
    """Mirror a tensor or array (..., H, W), or mirror it back.

    ``direction`` is 'horizontal', 'vertical', 'diagonal' (both), or None.
    """
    if direction is None:
        return planes
    axes = dict(horizontal=(-1,), vertical=(-2,), diagonal=(-2, -1))[direction]
    if isinstance(planes, Tensor):
        return planes.flip(axes)
    return np.flip(planes, axes)


def background_score(
    maps: Tensor,
    mode: str = 'constant',
    value: Union[float, Tensor] = 0.3,
    saliency: Optional[Tensor] = None,
) -> Tensor:
    """Score the background at every pixel.

    Args:
        maps: Class maps (K, H, W) in [0, 1].
        mode: 'constant' is ``value`` everywhere; 'power' is
            ``(1 - max over classes) ** value``; 'saliency' is
            ``1 - saliency``.
        value: The constant, or the exponent; of each class as (K, 1, 1).
        saliency: (H, W) in [0, 1], for 'saliency' only.

    Returns:
        (H, W) in [0, 1]; (K, H, W) if each class has its own value, unless
        'saliency' ignores it.

    Raises:
        ValueError: If the mode is unknown, or the saliency missing or not
            in [0, 1].
    """
    if mode == 'constant':
        if isinstance(value, Tensor):
            return value.expand(maps.shape)
        return maps.new_full(maps.shape[1:], value)
    if mode == 'power':
        if len(maps) == 0:
            return maps.new_ones(maps.shape[1:])
        return (1 - maps.amax(dim=0)) ** value
    if mode == 'saliency':
        if saliency is None:
            raise ValueError(
                "The background 'saliency' needs a saliency map: put "
                "dict(type='LoadSaliency', ...) into the pipeline."
            )
        if not ((saliency >= 0) & (saliency <= 1)).all():
            raise ValueError('saliency must be in [0, 1]')
        return 1 - saliency.to(maps)
    raise ValueError(f"background must be one of {BACKGROUNDS}, got '{mode}'.")


def map_probabilities(maps: Tensor, background: Tensor) -> Tensor:
    """Return probabilities (K + 1, H, W) of the background and of classes.

    Where nothing has a score all are alike.

    Args:
        maps: Class maps (K, H, W), at least 0.
        background: Scores (H, W).
    """
    scores = torch.cat([background[None].to(maps), maps]).clamp(min=1e-5)
    return scores / scores.sum(dim=0)


def maps_to_label(maps: Tensor, labels: Tensor, background: Tensor) -> Tensor:
    """Choose the best of background and classes at every pixel.

    Args:
        maps: Class maps (K, H, W) in [0, 1].
        labels: Their class indices (K,).
        background: Background score (H, W), or (K, H, W), of which each
            class is measured by its own; it wins where it is equal.

    Returns:
        Long (H, W): 0 is background, class c is written as c + 1.

    Raises:
        ValueError: If a map or the background is not finite.
    """
    if not (maps.isfinite().all() and background.isfinite().all()):
        raise ValueError('maps or background hold values that are not finite')
    if background.ndim == 3:
        # The best of the classes that are above their own background.
        maps = maps.masked_fill(maps <= background, -np.inf)
        background = maps.new_full(maps.shape[1:], -np.inf)
    scores = torch.cat([background[None], maps])
    best = scores.argmax(dim=0)
    values = torch.cat([labels.new_zeros(1), labels + 1])
    return values[best]


def mask_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of masks bool (P, H, W) and (K, H, W).

    Returns:
        float64 (P, K) in [0, 1]; 0 where both masks are empty.

    Raises:
        ValueError: If the masks are of different sizes or no stacks.
    """
    if a.ndim != 3 or b.ndim != 3 or a.shape[1:] != b.shape[1:]:
        raise ValueError(
            'masks must be two stacks of the same height and width, got '
            f'shapes {a.shape} and {b.shape}'
        )
    pixels = a.shape[1] * a.shape[2]
    a, b = (np.asarray(m, bool).reshape(len(m), pixels) for m in (a, b))
    shared = np.zeros((len(a), len(b)))
    # Matrix products of few pixels at a time: the float copies stay in the
    # cache, and float32 counts exactly up to 2^24.
    chunk = max(1 << 10, _CHUNK // (len(a) + len(b) + 1))
    for start in range(0, pixels, chunk):
        part = slice(start, start + chunk)
        left, right = (m[:, part].astype(np.float32) for m in (a, b))
        shared += left @ right.T
    areas = [np.count_nonzero(m, axis=1).astype(np.float64) for m in (a, b)]
    unions = areas[0][:, None] + areas[1][None] - shared
    iou: np.ndarray = shared / np.maximum(unions, 1)
    return iou


def suppress(
    scores: np.ndarray, ious: np.ndarray, threshold: float
) -> Tuple[np.ndarray, np.ndarray]:
    """Keep the best of masks that overlap.

    Masks are taken by falling score (P,), of equal ones the first; each one
    that is still there suppresses all later ones whose overlap with it,
    ``ious`` (P, P), is above the threshold.

    Returns:
        int64 arrays ``kept`` (M,), best first, and ``owner`` (P,), the
        position in ``kept`` of the mask itself or of the one that suppressed
        it.
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


def mean(values: np.ndarray) -> np.ndarray:
    """Average over the last axis; of nothing that is NaN."""
    if values.shape[-1]:
        return values.mean(axis=-1)
    return np.full(values.shape[:-1], np.nan)


def mean_without_nan(values: np.ndarray) -> np.ndarray:
    """Average what is not NaN over the last axis; of nothing that is NaN."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(-1)
    number = known.sum(-1)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)
