"""From class maps to class scores."""

import math

import torch
from torch import Tensor

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
