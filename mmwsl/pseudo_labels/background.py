"""The score of the background, which class activation maps lack.

Shape shorthand: K classes kept, (H, W) the image.
"""

from typing import Optional

import torch
from torch import Tensor

BACKGROUNDS = ('constant', 'power', 'saliency')


def background_score(
    maps: Tensor,
    mode: str = 'constant',
    value: float = 0.3,
    saliency: Optional[Tensor] = None,
) -> Tensor:
    """Score of the background at every pixel.

    Args:
        maps: Class maps (K, H, W) in [0, 1].
        mode: 'constant' is ``value`` everywhere; 'power' is
            ``(1 - max over classes) ** value``; 'saliency' is
            ``1 - saliency``.
        value: The constant, or the exponent.
        saliency: (H, W) in [0, 1], for 'saliency' only.

    Returns:
        (H, W) in [0, 1].

    Raises:
        ValueError: If the mode is unknown, or the saliency missing or not
            in [0, 1].
    """
    if mode == 'constant':
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


def maps_to_label(maps: Tensor, labels: Tensor, background: Tensor) -> Tensor:
    """Choose the best of background and classes at every pixel.

    Args:
        maps: Class maps (K, H, W) in [0, 1].
        labels: Their class indices (K,).
        background: Background score (H, W); it wins where it is equal.

    Returns:
        Long (H, W): 0 is background, class c is written as c + 1.

    Raises:
        ValueError: If a map or the background is not finite.
    """
    scores = torch.cat([background[None], maps])
    if not scores.isfinite().all():
        raise ValueError('maps or background hold values that are not finite')
    best = scores.argmax(dim=0)
    values = torch.cat([labels.new_zeros(1), labels + 1])
    return values[best]
