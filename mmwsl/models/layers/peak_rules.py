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

# Devices on which one peak after the other goes down, with its windows; on
# others finding these would cost more than it saves.
ONE_BY_ONE = ('cpu',)

Pair = Tuple[int, int]


class TopDownConv(torch.autograd.Function):
    """A convolution whose backward pass is the top-down rule.

    A peak depends on a part of a map only, a small one in the upper layers.
    On CPUs the backward pass finds the window outside which its gradient is
    zero and leaves the rest out.
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
        ctx.positive, ctx.flipped = positive, None
        ctx.stride = _pair(settings['stride'])
        ctx.dilation = _pair(settings['dilation'])
        ctx.groups = settings['groups']
        # How far a kernel reaches beyond its first tap.
        rows, columns = (
            step * (side - 1)
            for step, side in zip(ctx.dilation, weight.shape[2:])
        )
        ctx.reach = rows, columns
        padding = settings['padding']
        if padding == 'same':
            # The odd cell, if there is one, comes behind.
            padding = rows // 2, columns // 2
        ctx.padding = _pair(0 if padding == 'valid' else padding)
        return F.conv2d(inputs, weight, bias, **settings)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        """Pass probability (N, L, h, w) on to the inputs (N, K, H, W)."""
        height, width = ctx.shifted.shape[2:]
        box = (0, grad.shape[2], 0, grad.shape[3])
        top, bottom, left, right = (
            _bounds(grad) if grad.device.type in ONE_BY_ONE else box
        )
        y = top * ctx.stride[0] - ctx.padding[0]
        x = left * ctx.stride[1] - ctx.padding[1]
        if (top, bottom, left, right) == box:
            spread = _spread(ctx, grad * ctx.inverse)
            # Negative margins cut: padding, and what no kernel reaches.
            rows = height - y - spread.shape[-2]
            columns = width - x - spread.shape[-1]
            if any((x, columns, y, rows)):
                spread = F.pad(spread, (x, columns, y, rows))
            return spread * ctx.shifted, None, None, None, None
        window = (..., slice(top, bottom), slice(left, right))
        spread = _spread(ctx, grad[window] * ctx.inverse[window])
        result = torch.zeros_like(ctx.shifted)
        up, near = max(y, 0), max(x, 0)
        down = min(y + spread.shape[-2], height)
        far = min(x + spread.shape[-1], width)
        if up < down and near < far:
            torch.mul(
                spread[..., up - y : down - y, near - x : far - x],
                ctx.shifted[..., up:down, near:far],
                out=result[..., up:down, near:far],
            )
        return result, None, None, None, None


def _bounds(grad: Tensor) -> Tuple[int, int, int, int]:
    """Return top, bottom, left and right of what is not zero."""
    # One pass, faster than any().
    low, high = torch.aminmax(grad.flatten(0, 1), dim=0)
    used = (low != 0) | (high != 0)
    rows = used.any(dim=1).nonzero()[:, 0].tolist() or [0]
    columns = used.any(dim=0).nonzero()[:, 0].tolist() or [0]
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


def _spread(ctx: Any, values: Tensor) -> Tensor:
    """Convolve values (N, L, a, b) transposed with W+, without padding."""
    weight, groups = ctx.positive, ctx.groups
    settings: Dict[str, Any] = dict(dilation=ctx.dilation, groups=groups)
    windowed = values.device.type in ONE_BY_ONE
    if windowed and ctx.stride == (1, 1) and ctx.reach != (0, 0):
        # Torch convolves faster on CPUs than it convolves transposed.
        if ctx.flipped is None:
            flipped = weight.unflatten(0, (groups, -1)).transpose(1, 2)
            ctx.flipped = flipped.flatten(0, 1).flip(2, 3)
        return F.conv2d(values, ctx.flipped, padding=ctx.reach, **settings)
    few = weight[0].numel() * values.shape[-1] * values.shape[-2] <= _MAX_TAPS
    if not (windowed and len(values) == groups == 1 and few):
        return F.conv_transpose2d(
            values, weight, stride=ctx.stride, **settings
        )
    # A folded product of matrices is the faster way for strides on CPUs.
    rows, columns = (
        (cells - 1) * stride + reach + 1
        for cells, stride, reach in zip(
            values.shape[2:], ctx.stride, ctx.reach
        )
    )
    product = weight.flatten(1).t() @ values[0].flatten(1)
    if ctx.stride == (1, 1):
        return product.view(1, -1, rows, columns)
    return F.fold(
        product[None],
        (rows, columns),
        (weight.shape[2], weight.shape[3]),
        dilation=ctx.dilation,
        stride=ctx.stride,
    )


def _pair(value: Union[int, Sequence[int]]) -> Pair:
    if isinstance(value, int):
        return value, value
    rows, columns = value if len(value) == 2 else (value[0], value[0])
    return rows, columns
