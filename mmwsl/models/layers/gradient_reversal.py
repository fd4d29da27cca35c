"""Gradients that change their sign."""

from typing import Any, Tuple, Union

import torch
from torch import Tensor

Strength = Union[float, Tensor]


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: Tensor) -> Tensor:
        ctx.save_for_backward(strength)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tuple[Tensor, None]:
        (strength,) = ctx.saved_tensors
        return -strength.to(grad.dtype) * grad, None


def reverse_gradient(x: Tensor, strength: Strength = 1.0) -> Tensor:
    """Return ``x``, whose gradient is multiplied by ``-strength``.

    The layer of domain-adversarial training
    (https://arxiv.org/abs/1409.7495): what lies behind it learns to lower
    the loss, what lies before it to raise it.

    Args:
        x: Any tensor.
        strength: Factor >= 0, a number or a tensor () on the device of x.
    """
    if not isinstance(strength, Tensor):
        strength = torch.tensor(strength, device=x.device)
    return _Reversal.apply(x, strength)
