"""Attention-based dropout."""

import torch
from torch import Tensor, nn

from mmwsl.registry import MODELS


@MODELS.register_module()
class ADL(nn.Module):
    """Attention-based dropout layer (https://arxiv.org/abs/1908.10028).

    The attention of a position is the mean of its features. In training a
    batch is multiplied either, with probability ``drop_rate``, by 0 where
    the attention reaches ``threshold`` times its maximum in the image and
    by 1 elsewhere, or by the sigmoid of the attention. In prediction
    nothing happens. To be inserted into a backbone, see
    ``TorchvisionBackbone(insert=...)``.

    Args:
        drop_rate: Probability of dropping; 0.59 in the runs of DA-WSOL.
        threshold: Share of the maximum from which is dropped; 0.99 there.
    """

    def __init__(
        self, drop_rate: float = 0.59, threshold: float = 0.99
    ) -> None:
        super().__init__()
        for name, value in (
            ('drop_rate', drop_rate),
            ('threshold', threshold),
        ):
            if not 0 <= value <= 1:
                raise ValueError(f'{name} must be in [0, 1], got {value}.')
        self.drop_rate = drop_rate
        self.threshold = threshold

    def forward(self, x: Tensor) -> Tensor:
        """Return features (N, d, h, w), changed in training."""
        if not self.training:
            return x
        attention = x.mean(dim=1, keepdim=True)
        limit = attention.amax(dim=(2, 3), keepdim=True) * self.threshold
        kept = (attention < limit).to(x.dtype)
        # Drawn where x is, so that the host need not wait.
        drop = torch.rand((), device=x.device) < self.drop_rate
        return x * torch.where(drop, kept, attention.sigmoid())

    def extra_repr(self) -> str:
        """Return the arguments, as torch prints a layer's."""
        return f'drop_rate={self.drop_rate}, threshold={self.threshold}'
