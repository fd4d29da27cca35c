"""How much of a class's score the pixels that its map marks bring about.

(H, W): a map and its image. S: images with more and more pixels changed.
"""

from __future__ import annotations

from typing import Dict, Iterator

import numpy as np
import torch
from torch import Tensor


def explanation(image: Tensor, empty: Tensor, weights: Tensor) -> Tensor:
    """Keep an image where a map is high, as Grad-CAM++ does.

    Args:
        image: (3, H, W).
        empty: What takes its place, (3, H, W) or what broadcasts to it.
        weights: The map, (H, W) in [0, 1].

    Returns:
        (3, H, W), ``weights * image + (1 - weights) * empty``.
    """
    return torch.lerp(empty.expand_as(image), image, weights)


def replacements(
    start: Tensor, end: Tensor, order: Tensor, steps: int
) -> Iterator[Tensor]:
    """Yield an image whose pixels are replaced in the order of a map.

    Args:
        start: The first image, (3, H, W).
        end: The last one, (3, H, W) or what broadcasts to it.
        order: The map, (H, W); its highest pixels are replaced first, of
            equal ones the upper, then the left ones.
        steps: S - 1, of as many pixels each, but for rounding.
    """
    pixels = order.numel()
    rank = torch.empty(pixels, dtype=torch.long, device=order.device)
    ranked = order.flatten().argsort(descending=True, stable=True)
    rank[ranked] = torch.arange(pixels, device=order.device)
    rank = rank.reshape(order.shape)
    for step in range(steps + 1):
        yield torch.where(rank < step * pixels // steps, end, start)


def faithfulness_scores(
    whole: np.ndarray,
    kept: np.ndarray,
    deletion: np.ndarray,
    insertion: np.ndarray,
) -> Dict[str, np.ndarray]:
    """Score n maps by probabilities of their classes.

    The average drop and the average increase are those of Grad-CAM++
    (https://arxiv.org/abs/1710.11063), deletion and insertion those of RISE
    (https://arxiv.org/abs/1806.07421).

    Args:
        whole: Probabilities (n,) of the images.
        kept: Those (n,) of what :func:`explanation` leaves of them.
        deletion: Those (n, S) while pixels are taken out.
        insertion: Those (n, S) while pixels are put in.

    Returns:
        dict: Fractions (n,): ``drop``, the part of the probability that is
        lost, ``increase``, whether it rises, and the areas ``deletion``,
        the lower the better, and ``insertion``.
    """
    # Slow to import.
    from scipy.integrate import trapezoid

    step = 1 / (deletion.shape[1] - 1)
    lost = (whole - kept).clip(min=0)
    drop = np.divide(lost, whole, out=np.zeros_like(lost), where=whole > 0)
    return dict(
        drop=drop,
        increase=(kept > whole).astype(np.float64),
        deletion=trapezoid(deletion, dx=step),
        insertion=trapezoid(insertion, dx=step),
    )
