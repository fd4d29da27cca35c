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
        source, target, bandwidth = _center(source.to(dtype), target.to(dtype))
        factor = kernel_mul ** (num_kernels // 2)
        kernels = (bandwidth / factor, num_kernels, kernel_mul)
        if estimator == 'linear':
            return _linear(source, target, kernels)
        joined = torch.cat([source, target], dim=1)
        values = _kernel(_squared_distances(joined), kernels)
        sign = values.new_ones(joined.shape[1])
        sign[source.shape[1] :] = -1
        return ((values @ sign) @ sign) / source.shape[1] ** 2


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


def _center(source: Tensor, target: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """Shift features to their mean, which keeps digits, and find b (P,)."""
    count = 2 * source.shape[1]
    joined = torch.cat([source, target], dim=1).detach()
    mean = joined.mean(dim=1, keepdim=True)
    # The sum of |x - y|^2 over all pairs is 2 * count * that of |x - mean|^2.
    spread = (joined - mean).square().sum(dim=(1, 2))
    bandwidth = 2 * spread / (count - 1)
    # Below that, features differ by their rounding only.
    size = joined.square().sum(dim=(1, 2)) / count
    floor = 8 * torch.finfo(joined.dtype).eps * size
    bandwidth = torch.maximum(bandwidth, floor)
    bandwidth = torch.where(bandwidth > 0, bandwidth, 1.0)
    return source - mean, target - mean, bandwidth


def _squared_distances(feats: Tensor) -> Tensor:
    """Return the squared distances (P, m, m) within sets (P, m, d)."""
    products = feats @ feats.transpose(1, 2)
    squares = products.diagonal(dim1=1, dim2=2)
    distances = squares[:, :, None] + squares[:, None] - 2 * products
    return distances.clamp(min=0)


def _kernel(distances: Tensor, kernels: Tuple[Tensor, int, float]) -> Tensor:
    """Sum the kernels of squared distances (P, ...)."""
    bandwidth, number, ratio = kernels
    scaled = -distances / bandwidth.view(-1, *[1] * (distances.ndim - 1))
    return sum(
        ((scaled / ratio**index).exp() for index in range(number)),
        torch.zeros_like(scaled),
    )


def _linear(
    source: Tensor, target: Tensor, kernels: Tuple[Tensor, int, float]
) -> Tensor:
    """Return the estimate (P,) from neighbouring features."""
    next_source, next_target = source.roll(-1, 1), target.roll(-1, 1)
    pairs = [
        (source, next_source),
        (target, next_target),
        (source, next_target),
        (next_source, target),
    ]
    distances = [(x - y).square().sum(dim=2) for x, y in pairs]
    values = _kernel(torch.stack(distances, dim=1), kernels)
    same, other = values[:, :2].sum(dim=1), values[:, 2:].sum(dim=1)
    return (same - other).mean(dim=1)
