"""Learning accumulated attention pixel by pixel.

Shape shorthand: N maps, (h, w) the map.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmwsl.registry import MODELS


def integral_attention_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Loss of the integral model of https://arxiv.org/abs/1909.08212.

    With accumulated attention a and logits m it is the mean over a > 0 of
    ``-a log sigma(m)`` plus the mean over a = 0 of ``-log(1 - sigma(m))``.
    The mean of an empty set is 0.

    Args:
        logits: m, of any shape, usually (N, h, w).
        target: a in [0, 1], of the same shape.

    Returns:
        Scalar, in single precision at least.

    Raises:
        ValueError: If the shapes differ.
    """
    if logits.shape != target.shape:
        raise ValueError(
            f'logits {tuple(logits.shape)} and target {tuple(target.shape)} '
            'differ in shape.'
        )
    if logits.itemsize < 4:
        logits = logits.float()
    target = target.to(logits)
    seen = target > 0
    number = seen.sum()
    # -log(1 - sigma(m)) = softplus(m) and -log sigma(m) = softplus(-m).
    values = F.softplus(torch.where(seen, -logits, logits))
    weight = torch.where(
        seen,
        target / number.clamp(min=1),
        1 / (seen.numel() - number).clamp(min=1).to(target),
    )
    return (weight * values).sum()


@MODELS.register_module()
class IntegralAttentionLoss(nn.Module):
    """Module of :func:`integral_attention_loss`.

    Args:
        loss_weight: Factor of the loss.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of logits and attention (N, h, w)."""
        return self.loss_weight * integral_attention_loss(logits, target)
