"""Maximum mean discrepancy of two sets of features.

Shape shorthand: P pairs of sets, n features a set, d their size.
"""

from typing import Tuple

import torch
from torch import Tensor, nn

from mmwsl.registry import MODELS

ESTIMATORS = ('full', 'linear')


def mmd(
    source: Tensor,
    target: Tensor,
    num_kernels: int = 5,
    kernel_mul: float = 2.0,
    estimator: str = 'full',
) -> Tensor:
    """Squared maximum mean discrepancy with a sum of Gaussian kernels.

    ``k(x, y) = sum_i exp(-|x - y|^2 / b_i)`` with
    ``b_i = b / kernel_mul^(num_kernels // 2) * kernel_mul^i``; b is the mean
    squared distance of two different ones of a pair's 2 n features, so the
    divisor is ``2 n (2 n - 1)``. No gradient passes through b. (Deep
    adaptation networks, https://arxiv.org/abs/1502.02791.)

    - 'full': ``mean k(s_i, s_j) + mean k(t_i, t_j) - 2 mean k(s_i, t_j)``
      over all i and j, also equal ones. Never negative.
    - 'linear': the mean over i of
      ``k(s_i, s_j) + k(t_i, t_j) - k(s_i, t_j) - k(s_j, t_i)`` with
      ``j = i + 1 mod n``, as the released code of DA-WSOL has it.

    Args:
        source: Features s (P, n, d).
        target: Features t (P, n, d).
        num_kernels: Number of Gaussian kernels.
        kernel_mul: Ratio of successive bandwidths.
        estimator: 'full' or 'linear'.

    Returns:
        (P,), in float32 or more. 0 for pairs of equal sets.

    Raises:
        ValueError: If the shapes differ or the estimator is unknown.
    """
    if source.shape != target.shape or source.ndim != 3:
        raise ValueError(
            'mmd needs two tensors of the same shape (P, n, d), got '
            f'{tuple(source.shape)} and {tuple(target.shape)}.'
        )
    if estimator not in ESTIMATORS:
        raise ValueError(
            f"estimator must be one of {ESTIMATORS}, got '{estimator}'."
        )
    if source.numel() == 0:
        return (source + target).sum(dim=(1, 2))
    dtype = torch.promote_types(source.dtype, torch.float32)
    with torch.autocast(source.device.type, enabled=False):
        joined = torch.cat([source.to(dtype), target.to(dtype)], dim=1)
        distances, bandwidth = _distances(joined)
        scaled = distances / -bandwidth[:, None, None]
        scaled = scaled * kernel_mul ** (num_kernels // 2)
        values = torch.zeros_like(scaled)
        for index in range(num_kernels):
            values = values + (scaled / kernel_mul**index).exp()
        weights = _weights(values, estimator)
        return (values * weights).sum(dim=(1, 2))


@MODELS.register_module()
class MMDLoss(nn.Module):
    """Module of :func:`mmd`, a discrepancy for ``DALLoss``.

    Args:
        num_kernels: Number of Gaussian kernels.
        kernel_mul: Ratio of successive bandwidths.
        estimator: 'full' or 'linear'.
    """

    def __init__(
        self,
        num_kernels: int = 5,
        kernel_mul: float = 2.0,
        estimator: str = 'full',
    ) -> None:
        super().__init__()
        self.num_kernels = num_kernels
        self.kernel_mul = kernel_mul
        self.estimator = estimator

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Return the discrepancies (P,) of sets (P, n, d)."""
        return mmd(
            source, target, self.num_kernels, self.kernel_mul, self.estimator
        )


def _distances(feats: Tensor) -> Tuple[Tensor, Tensor]:
    """Return the squared distances (P, m, m) within sets (P, m, d) and b (P,).

    Taken from products of features, of which their mean is subtracted, which
    keeps digits.
    """
    count = feats.shape[1]
    mean = feats.detach().mean(dim=1, keepdim=True)
    centered = feats - mean
    products = _products(centered)
    squares = products.diagonal(dim1=1, dim2=2)
    distances = squares[:, :, None] + squares[:, None] - 2 * products
    # The sum of |x - y|^2 over all pairs is 2 m times that of |x - mean|^2.
    spread = squares.detach().sum(dim=1)
    bandwidth = 2 * spread / (count - 1)
    # Below that, features differ by their rounding only.
    size = spread / count + mean.square().sum(dim=(1, 2))
    bandwidth = bandwidth.maximum(8 * torch.finfo(feats.dtype).eps * size)
    bandwidth = torch.where(bandwidth > 0, bandwidth, 1.0)
    return distances.clamp(min=0), bandwidth


def _products(feats: Tensor) -> Tensor:
    """Return ``x y`` (P, m, m) for all x and y of sets (P, m, d).

    For uses in which ``x y`` and ``y x`` weigh the same, and for the first
    derivative only: both halves of the gradient are equal there, and one
    matrix product finds them.
    """
    products = feats @ feats.detach().transpose(1, 2)
    return 2 * products - products.detach()


def _weights(kernels: Tensor, estimator: str) -> Tensor:
    """Return the weights (2 n, 2 n) of kernels (P, 2 n, 2 n).

    They are symmetric, as the kernels are.
    """
    count = kernels.shape[1] // 2
    pairs = kernels.new_ones(count, count)
    if estimator == 'linear':
        pairs = pairs.diag().diag().roll(1, dims=1)
        pairs = (pairs + pairs.T) * count / 2
    pairs = pairs / count**2
    return torch.cat(
        [torch.cat([pairs, -pairs], 1), torch.cat([-pairs, pairs], 1)]
    )
