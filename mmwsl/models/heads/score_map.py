"""From class maps to the score map that localisation is measured by.

Shape shorthand: (h, w) a view's map, S the side of the score map.
"""

from typing import Optional, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmwsl.models.heads.map_prediction import Size, unflip, valid_cells


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
    merged = unflip(torch.stack(resized).mean(dim=0), flip_direction)[0]
    low, high = merged.min(), merged.max()
    spread = high - low
    # Less than that is the rounding of a constant map.
    seen = spread > 1e-6 * torch.maximum(low.abs(), high.abs())
    scaled = (merged - low) / torch.where(seen, spread, 1.0)
    return (scaled * seen).clamp(0, 1)
