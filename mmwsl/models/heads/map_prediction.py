"""From the class maps of one or more views to normalised maps of one image.

Shape shorthand: C classes, K classes kept, (h, w) a view's map, (H, W) the
original image.
"""

from typing import Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmwsl.structures import WSLDataSample

Size = Tuple[int, int]


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


def unflip(maps: Tensor, direction: Optional[str]) -> Tensor:
    """Turn the maps (K, H, W) of a mirrored image back.

    Args:
        maps: The maps.
        direction: 'horizontal', 'vertical', 'diagonal', or None.
    """
    if direction is None:
        return maps
    axes = {'horizontal': [2], 'vertical': [1], 'diagonal': [1, 2]}
    return maps.flip(axes[direction])


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


def _resize(maps: Tensor, size: Tuple[int, int]) -> Tensor:
    return F.interpolate(
        maps[None].float(), size=size, mode='bilinear', align_corners=False
    )[0]
