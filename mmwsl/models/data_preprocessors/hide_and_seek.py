"""Hide-and-seek: images with cells missing."""

from typing import List, Optional, Tuple

import torch
from torch import Tensor, nn

from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample

Samples = Optional[List[WSLDataSample]]


@MODELS.register_module()
class HideAndSeek(nn.Module):
    """Hide-and-seek (https://arxiv.org/abs/1704.04232).

    A grid of squares lies over every image from its upper left corner on;
    each square is hidden by itself.

    Args:
        grid_size: Side of a square in pixels.
        drop_rate: Probability that a square is hidden.
        fill: What hidden pixels become; 0 is the mean pixel that the
            normalisation has subtracted.
    """

    def __init__(
        self, grid_size: int = 50, drop_rate: float = 0.66, fill: float = 0.0
    ) -> None:
        super().__init__()
        if grid_size < 1:
            raise ValueError(f'grid_size must be at least 1, got {grid_size}.')
        if not 0 <= drop_rate <= 1:
            raise ValueError(f'drop_rate must be in [0, 1], got {drop_rate}.')
        self.grid_size = grid_size
        self.drop_rate = drop_rate
        self.fill = fill

    def forward(
        self, inputs: Tensor, data_samples: Samples = None
    ) -> Tuple[Tensor, Samples]:
        """Hide squares of normalised images (N, 3, H, W)."""
        count, _, height, width = inputs.shape
        grid = [-(-side // self.grid_size) for side in (height, width)]
        hidden = (
            torch.rand((count, 1, *grid), device=inputs.device)
            < self.drop_rate
        )
        for dim in (2, 3):
            hidden = hidden.repeat_interleave(self.grid_size, dim)
        hidden = hidden[..., :height, :width]
        return inputs.masked_fill(hidden, self.fill), data_samples
