"""Attention accumulated over the epochs of a training.

Online accumulated class activation maps (https://arxiv.org/abs/2103.14581,
after https://arxiv.org/abs/1909.08212).

Shape shorthand: P maps, (h, w) the class maps.
"""

import math
from typing import Optional, Union

import numpy as np
import torch
from torch import Tensor

Array = Union[np.ndarray, Tensor]


def attention_maps(maps: Tensor) -> Tensor:
    """Rectify class maps and divide each by its maximum.

    Args:
        maps: Logits (P, h, w).

    Returns:
        Float (P, h, w) in [0, 1]; a map without positive value is 0.
    """
    maps = maps.clamp(min=0)
    if maps.dtype in (torch.float16, torch.bfloat16):
        maps = maps.float()
    if maps.numel() == 0:
        return maps
    peak = maps.amax(dim=(1, 2), keepdim=True)
    return maps / torch.where(peak > 0, peak, torch.ones_like(peak))


def accumulate_attention(
    accumulated: Optional[Array],
    map: Array,
    score: float,
    last_epoch: bool = False,
    min_prob: float = 0.1,
) -> Optional[Array]:
    """Fuse the map of one image and present class into what was kept.

    The rectified map, divided by its maximum, is fused by the maximum if the
    classifier believes in the class. What is still missing in the last epoch
    is taken from there whatever the score is.

    Args:
        accumulated: Float (h, w) in [0, 1] from earlier epochs, or None.
        map: Class map (h, w), logits.
        score: Class score, a logit.
        last_epoch: Whether this is the last epoch of the training.
        min_prob: Probability from which a map is fused.

    Returns:
        Float (h, w) in [0, 1] of the kind that ``map`` has, or None while
        nothing is kept.

    Raises:
        ValueError: If the map is not (h, w), not as large as what is kept or
            not finite, if what is kept is not in [0, 1], or if the score is
            NaN.
    """
    if map.ndim != 2:
        raise ValueError(f'map must have shape (h, w), got {map.shape}')
    if accumulated is not None and accumulated.shape != map.shape:
        raise ValueError(
            f'the accumulated map has shape {tuple(accumulated.shape)}, but '
            f'the new one {tuple(map.shape)}'
        )
    if accumulated is not None:
        kept = torch.as_tensor(accumulated)
        if not ((kept >= 0) & (kept <= 1)).all():
            raise ValueError('the accumulated map is not in [0, 1]')
    values = torch.as_tensor(map)
    if not values.isfinite().all():
        raise ValueError('map holds values that are not finite')
    if math.isnan(score):
        raise ValueError('score is NaN')
    # The logistic function without overflow.
    probability = 0.5 * (1 + math.tanh(float(score) / 2))
    believed = probability >= min_prob
    if not believed and not (last_epoch and accumulated is None):
        return accumulated
    new = attention_maps(values[None])[0]
    if accumulated is not None:
        new = torch.maximum(new, kept.to(new))
    return new if isinstance(map, Tensor) else new.numpy()
