"""From the class maps of one or more views to normalised maps of one image.

Shape shorthand: C classes, K classes kept, (h, w) a view's map, (H, W) the
original image.
"""

import math
from typing import Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor


def merge_views(
    views: Sequence[Tensor],
    valid: Tuple[float, float],
    size: Tuple[int, int],
) -> Tensor:
    """Average the rectified maps of several views of one image.

    Args:
        views: Logit maps (K, h, w) of each view, of any sizes.
        valid: Share of the input's height and width that is image, the rest
            being padding at the bottom and right; (1, 1) without padding.
        size: (H, W).

    Returns:
        (K, H, W) >= 0.
    """
    merged = views[0].new_zeros(
        (views[0].shape[0], *size), dtype=torch.float32
    )
    if merged.numel() == 0:
        return merged
    for view in views:
        merged += _resize(_crop(view.clamp(min=0), valid), size)
    return merged / len(views)


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


def _crop(maps: Tensor, valid: Tuple[float, float]) -> Tensor:
    """Cut off the cells that lie wholly in the padding."""
    height = max(1, math.ceil(maps.shape[1] * valid[0]))
    width = max(1, math.ceil(maps.shape[2] * valid[1]))
    return maps[:, :height, :width]


def _resize(maps: Tensor, size: Tuple[int, int]) -> Tensor:
    return F.interpolate(
        maps[None].float(), size=size, mode='bilinear', align_corners=False
    )[0]
