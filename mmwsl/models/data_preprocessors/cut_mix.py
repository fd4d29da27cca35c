"""CutMix: patches of other images."""

import math
from typing import List, Optional, Tuple

import torch
from torch import Tensor, nn

from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample

Samples = Optional[List[WSLDataSample]]
# Labels of the unmixed image, which would be wrong.
DROPPED = ('gt_label', 'gt_count', 'gt_label_difficult')


@MODELS.register_module()
class CutMix(nn.Module):
    """CutMix (https://arxiv.org/abs/1905.04899).

    With probability ``prob`` a batch gets one rectangle, in which every
    image shows another image of the batch. ``gt_score`` becomes the mean of
    both labels, weighted by the areas; losses that take such labels, the
    classification losses and DALLoss, are mixed by them. ``gt_label`` and
    counts are left out of mixed samples.

    Args:
        beta: Parameter of the Beta distribution of the first image's share.
        prob: Probability that a batch is mixed.
    """

    def __init__(self, beta: float = 1.35, prob: float = 0.34) -> None:
        super().__init__()
        if beta <= 0:
            raise ValueError(f'beta must be positive, got {beta}.')
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be in [0, 1], got {prob}.')
        self.beta = torch.distributions.Beta(beta, beta)
        self.prob = prob

    def forward(
        self, inputs: Tensor, data_samples: Samples = None
    ) -> Tuple[Tensor, Samples]:
        """Mix images (N, 3, H, W) and the ``gt_score`` of their samples."""
        if len(inputs) < 2 or float(torch.rand(())) >= self.prob:
            return inputs, data_samples
        rows, columns = self._rectangle(*inputs.shape[2:])
        order = torch.randperm(len(inputs)).tolist()
        mixed = inputs.clone()
        mixed[:, :, rows, columns] = inputs[order][:, :, rows, columns]
        area = (rows.stop - rows.start) * (columns.stop - columns.start)
        share = 1 - area / (inputs.shape[2] * inputs.shape[3])
        if data_samples is None:
            return mixed, None
        return mixed, [
            _mix(sample, data_samples[other], share)
            for sample, other in zip(data_samples, order)
        ]

    def _rectangle(self, height: int, width: int) -> Tuple[slice, slice]:
        """Draw a rectangle; where it leaves the image it is cut off."""
        side = math.sqrt(1 - float(self.beta.sample()))
        center_y, center_x = torch.rand(2).tolist()
        return _range(center_y, side, height), _range(center_x, side, width)


def _range(center: float, share: float, size: int) -> slice:
    half = int(share * size) // 2
    middle = int(center * size)
    return slice(max(middle - half, 0), min(middle + half, size))


def _mix(
    sample: WSLDataSample, other: WSLDataSample, share: float
) -> WSLDataSample:
    mixed = sample.clone()
    mixed.gt_score = share * sample.gt_score + (1 - share) * other.gt_score
    for name in DROPPED:
        if name in mixed:
            delattr(mixed, name)
    return mixed
