"""The rule by which a convolution passes probability down to its input.

From "Weakly Supervised Instance Segmentation using Class Peak Response"
(https://arxiv.org/abs/1804.00880), section 3.3. With input U and weight W,

    P(U_ij) = sum_pq P(V_pq) U^_ij W+_(i-p)(j-q) Z_pq,

where U^ is U less its minimum over the image, W+ the positive part of W, and
Z_pq normalises the weights of one output to the sum 1. So the rule is a
multiplication by Z, a transposed convolution with W+ and a multiplication by
U^. All other layers pass the plain gradient.

Shape shorthand: N images, K input and L output channels of a convolution,
(H, W) the grid of its input, (h, w) that of its output.
"""

from typing import Any, Dict, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor

# Sums of weights below this one pass nothing.
SMALLEST_SUM = 1e-10

# What a convolution may unfold at a time, 64 MiB in single precision.
_MAX_TAPS = 1 << 24

Pair = Tuple[int, int]


class ConvRule:
    """How one convolution spreads probability.

    Args:
        weight: W+ (L, K / groups, kh, kw).
        stride: Rows and columns from one output to the next.
        padding: Rows and columns that padding adds before the input.
        dilation: Rows and columns between the taps of the kernel.
        groups: Number of groups.
    """

    def __init__(
        self,
        weight: Tensor,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> None:
        self.weight = weight
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups
        # How far a kernel reaches beyond its first tap.
        rows, columns = (
            step * (side - 1) for step, side in zip(dilation, weight.shape[2:])
        )
        self.reach: Pair = (rows, columns)
        self._flipped: Optional[Tensor] = None

    def spread(self, values: Tensor, crop: Pair = (0, 0)) -> Tensor:
        """Convolve transposed with W+.

        Args:
            values: (P, L, a, b).
            crop: Rows and columns to leave out on either side of the result,
                at most ``reach``.

        Returns:
            (P, K, a', b'), where a' = (a - 1) stride + reach + 1 - 2 crop.
        """
        if self.stride == (1, 1):
            # Torch convolves faster on CPUs than it convolves transposed.
            padding = [r - c for r, c in zip(self.reach, crop)]
            return F.conv2d(
                values,
                self._flip(),
                padding=padding,
                dilation=self.dilation,
                groups=self.groups,
            )
        taps = values[0, 0].numel() * self.weight[0].numel()
        alone = len(values) == self.groups == 1 and not values.is_cuda
        if alone and taps <= _MAX_TAPS:
            return self._spread_one(values, crop)
        return self._spread_all(values, crop)

    def _spread_all(self, values: Tensor, crop: Pair) -> Tensor:
        return F.conv_transpose2d(
            values,
            self.weight,
            stride=self.stride,
            padding=crop,
            dilation=self.dilation,
            groups=self.groups,
        )

    def _spread_one(self, values: Tensor, crop: Pair) -> Tensor:
        """Fold a product of matrices, the faster way for strides on CPUs."""
        rows, columns = (
            (cells - 1) * stride + reach + 1 - 2 * cut
            for cells, stride, reach, cut in zip(
                values.shape[2:], self.stride, self.reach, crop
            )
        )
        taps = self.weight.flatten(1).t() @ values[0].flatten(1)
        return F.fold(
            taps[None],
            (rows, columns),
            tuple(self.weight.shape[2:]),
            dilation=self.dilation,
            padding=crop,
            stride=self.stride,
        )

    def _flip(self) -> Tensor:
        """Return W+ (K, L / groups, kh, kw) for the way down."""
        if self._flipped is None:
            weight = self.weight.unflatten(0, (self.groups, -1))
            weight = weight.transpose(1, 2).flatten(0, 1).flip(2, 3)
            self._flipped = weight.contiguous()
        return self._flipped


class TopDownConv(torch.autograd.Function):
    """A convolution whose backward pass is the top-down rule.

    The node of its output in the autograd graph has the attributes ``rule``,
    a :class:`ConvRule`, ``shifted``, U^ (N, K, H, W), and ``inverse``, Z
    (N, L, h, w).
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight: Tensor,
        bias: Optional[Tensor],
        shifted: Tensor,
        settings: Dict[str, Any],
    ) -> Tensor:
        """Convolve; ``shifted`` is U^ and ``settings`` those of conv2d."""
        positive = weight.clamp(min=0)
        total = F.conv2d(shifted, positive, None, **settings)
        ctx.shifted = shifted
        ctx.inverse = total.reciprocal().masked_fill_(total < SMALLEST_SUM, 0)
        padding = settings['padding']
        dilation = _pair(settings['dilation'])
        if padding == 'same':
            # The odd cell, if there is one, comes behind.
            padding = tuple(
                step * (side - 1) // 2
                for step, side in zip(dilation, weight.shape[2:])
            )
        ctx.rule = ConvRule(
            positive,
            _pair(settings['stride']),
            _pair(0 if padding == 'valid' else padding),
            dilation,
            settings['groups'],
        )
        return F.conv2d(inputs, weight, bias, **settings)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        """Pass probability (N, L, h, w) on to the inputs (N, K, H, W)."""
        rule: ConvRule = ctx.rule
        (top, left), (height, width) = rule.padding, ctx.shifted.shape[2:]
        spread = F.conv_transpose2d(
            grad * ctx.inverse,
            rule.weight,
            stride=rule.stride,
            groups=rule.groups,
            dilation=rule.dilation,
        )
        rows = height + top - spread.shape[-2]
        columns = width + left - spread.shape[-1]
        # Negative margins cut: padding, and what no kernel reaches.
        spread = F.pad(spread, (-left, columns, -top, rows))
        return spread * ctx.shifted, None, None, None, None


def _pair(value: Union[int, Sequence[int]]) -> Pair:
    if isinstance(value, int):
        return value, value
    rows, columns = value if len(value) == 2 else (value[0], value[0])
    return rows, columns
