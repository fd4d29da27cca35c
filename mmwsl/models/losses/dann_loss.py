"""A discriminator of source and target features as their discrepancy."""

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmwsl.models.layers.gradient_reversal import reverse_gradient
from mmwsl.registry import MODELS


@MODELS.register_module()
class DANNLoss(nn.Module):
    """Domain-adversarial loss (https://arxiv.org/abs/1409.7495).

    A 1x1 discriminator (one weight a channel and a bias) tells source
    features, its label 1, from target features, its label 0, by binary cross
    entropy. The features are behind a gradient reversal of the strength
    ``2 / (1 + exp(-progress)) - 1``, so they learn to be told apart less.

    Shape shorthand: P pairs of sets, n features a set, d their size.

    Args:
        in_channels: d.
        speed: What a training step adds to the progress, which begins at 0
            and is kept in checkpoints. The strength is 0.46 at progress 1
            and 0.99 at 5.
    """

    num_steps: Tensor

    def __init__(self, in_channels: int, speed: float = 1e-3) -> None:
        super().__init__()
        self.speed = speed
        self.discriminator = nn.Linear(in_channels, 1)
        nn.init.normal_(self.discriminator.weight, std=0.01)
        nn.init.zeros_(self.discriminator.bias)
        self.register_buffer('num_steps', torch.zeros((), dtype=torch.long))

    def forward(
        self,
        source: Tensor,
        target: Tensor,
        progress: Optional[float] = None,
    ) -> Tensor:
        """Return the losses (P,) of sets (P, n, d).

        Args:
            source: Source features.
            target: Target features.
            progress: Replaces the number of steps times ``speed``.
        """
        steps = self.num_steps * self.speed
        if progress is not None:
            steps = torch.full_like(steps, progress)
        strength = 2 / (1 + torch.exp(-steps)) - 1
        if self.training:
            self.num_steps += 1
        count = source.shape[1]
        joined = reverse_gradient(torch.cat([source, target], 1), strength)
        # Binary cross entropy is unsafe in half precision.
        logits = self.discriminator(joined)[..., 0].float()
        return (
            F.softplus(-logits[:, :count]).mean(dim=1)
            + F.softplus(logits[:, count:]).mean(dim=1)
        ) / 2
