"""From class maps to scores, normalised maps and score maps of one image.

Shape shorthand: N images, C classes, K classes kept, (h, w) a view's map,
(H, W) the original image, S the side of the score map.
"""

import math
from typing import Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmwsl.structures import WSLDataSample
from mmwsl.utils.arrays import unflip

Size = Tuple[int, int]

POOLINGS = ('avg', 'max', 'lse')


def global_pool(
    maps: Tensor, mode: str = 'avg', sharpness: float = 5.0
) -> Tensor:
    """Pool class maps to one score a class.

    'lse' is the log-sum-exp pooling of Pinheiro and Collobert (CVPR 2015),
    ``1/r log mean exp(r x)``: the mean for r -> 0, the maximum for
    r -> infinity.

    Args:
        maps: Class maps (N, C, h, w).
        mode: 'avg', 'max' or 'lse'.
        sharpness: r of 'lse', > 0.

    Returns:
        Scores (N, C).
    """
    if mode == 'avg':
        return maps.mean(dim=(2, 3))
    if mode == 'max':
        return maps.amax(dim=(2, 3))
    if mode == 'lse':
        area = maps.shape[2] * maps.shape[3]
        summed = torch.logsumexp(sharpness * maps.flatten(2), dim=2)
        return (summed - math.log(area)) / sharpness
    raise ValueError(f"pooling must be one of {POOLINGS}, got '{mode}'.")


def input_shapes(sample: WSLDataSample) -> Tuple[Size, Size]:
    """Return the sizes of the image in the input and of the padded input.

    Padding lies at the bottom and right.
    """
    img_shape = tuple(sample.img_shape[:2])
    return img_shape, tuple(sample.get('batch_input_shape', img_shape))


def average_views(views: Sequence[Tensor]) -> Tensor:
    """Average the maps of several views on the grid of the first one.

    The values are averaged as they are, so a sum over the result is one on
    the first view's grid, however fine the other grids are.

    Args:
        views: Maps (C, h, w) of each view, of any sizes.

    Returns:
        (C, h, w), in single precision.
    """
    first = views[0].float()
    size = (first.shape[-2], first.shape[-1])
    others = [_resize(view, size) for view in views[1:]]
    return torch.stack([first, *others]).mean(dim=0)


def merge_views(
    views: Sequence[Tensor],
    size: Size,
    img_shape: Optional[Size] = None,
    input_shape: Optional[Size] = None,
) -> Tensor:
    """Average the rectified maps of several views of one image.

    Args:
        views: Logit maps (K, h, w) of each view, of any sizes.
        size: (H, W).
        img_shape: Height and width of the image in the input; the rest of
            ``input_shape``, at the bottom and right, is padding.
        input_shape: Height and width of the input. Without it nothing is
            padding.

    Returns:
        (K, H, W) >= 0.
    """
    merged = views[0].new_zeros(
        (views[0].shape[0], *size), dtype=torch.float32
    )
    if merged.numel() == 0:
        return merged
    for view in views:
        maps = view.clamp(min=0)
        if img_shape is not None and img_shape != input_shape:
            # Cells may lie across the border, so pixels are cut off.
            maps = _resize(maps, input_shape or img_shape)
            maps = maps[:, : img_shape[0], : img_shape[1]]
        merged += _resize(maps, size)
    return merged / len(views)


def valid_cells(maps: Tensor, img_shape: Size, input_shape: Size) -> Tensor:
    """Cut off the cells of maps that see nothing but padding.

    Args:
        maps: (..., h, w).
        img_shape: Height and width of the image in the input.
        input_shape: Height and width of the padded input.

    Returns:
        (..., h', w') with the cells that touch the image.
    """
    height, width = (
        -(-cells * image // padded)
        for cells, image, padded in zip(
            maps.shape[-2:], img_shape, input_shape
        )
    )
    return maps[..., :height, :width]


def normalize_maps(maps: Tensor) -> Tensor:
    """Divide every map by its maximum.

    Args:
        maps: (K, H, W) >= 0.

    Returns:
        (K, H, W) in [0, 1]; a map of zeros stays zero.
    """
    if maps.numel() == 0:
        return maps
    peak = maps.amax(dim=(1, 2), keepdim=True)
    # A map whose maximum is tiny would be noise blown up to 1 and, in half
    # precision, overflow.
    return torch.where(peak > 1e-6, maps / peak.clamp(min=1e-6), 0 * maps)


def score_map(
    views: Sequence[Tensor],
    size: int,
    img_shape: Size,
    input_shape: Size,
    flip_direction: Optional[str] = None,
) -> Tensor:
    """Scale the map of one class to [0, 1] on a square grid.

    The maps are taken as they are, below zero as well, brought to S x S
    (bicubic), averaged and min-max scaled. The scaling comes last, since a
    bicubic map may leave the range of its cells.

    Args:
        views: Logit maps (h, w) of each view, of any sizes.
        size: S.
        img_shape: Height and width of the image in the input.
        input_shape: Height and width of the input, of which the rest, at
            the bottom and right, is padding.
        flip_direction: How the image was mirrored.

    Returns:
        (S, S) in [0, 1]; a constant map gives zeros.
    """
    resized = [
        F.interpolate(
            valid_cells(view, img_shape, input_shape)[None, None].float(),
            size=(size, size),
            mode='bicubic',
            align_corners=False,
        )[0]
        for view in views
    ]
    merged = unflip(torch.stack(resized).mean(dim=0)[0], flip_direction)
    low, high = merged.min(), merged.max()
    spread = high - low
    # Less than that is the rounding of a constant map.
    seen = spread > 1e-6 * torch.maximum(low.abs(), high.abs())
    scaled = (merged - low) / torch.where(seen, spread, 1.0)
    return (scaled * seen).clamp(0, 1)


def _resize(maps: Tensor, size: Tuple[int, int]) -> Tensor:
    return F.interpolate(
        maps[None].float(), size=size, mode='bilinear', align_corners=False
    )[0]
