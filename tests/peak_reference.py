"""Peak back-propagation written out, layer by layer, in double precision.

Networks are made of ``nn.Sequential``, ``Residual`` and layers. Convolutions
follow the formula of the paper, unfolded; all other layers ask autograd for
the gradient of that layer alone.
"""

import torch
import torch.nn.functional as F
from torch import nn


class Residual(nn.Module):
    """The sum of two ways."""

    def __init__(self, body, shortcut=None):
        super().__init__()
        self.body = body
        self.shortcut = shortcut or nn.Identity()

    def forward(self, x):
        return self.body(x) + self.shortcut(x)


def down(layer, inputs, grad):
    """Pass what arrives at a layer's output (1, L, h, w) to its input."""
    if isinstance(layer, nn.Sequential):
        tape = []
        for child in layer:
            tape.append((child, inputs))
            inputs = child(inputs)
        for child, own in reversed(tape):
            grad = down(child, own, grad)
        return grad
    if isinstance(layer, Residual):
        first = down(layer.body, inputs, grad)
        return first + down(layer.shortcut, inputs, grad)
    if isinstance(layer, nn.Conv2d):
        return down_conv(layer, inputs, grad)
    with torch.enable_grad():
        inputs = inputs.clone().requires_grad_()
        # A copy, for layers that work in place.
        output = layer(inputs * 1)
    return torch.autograd.grad(output, inputs, grad)[0]


def padding_of(conv):
    """Return columns before and behind, rows before and behind."""
    if conv.padding == 'valid':
        return 0, 0, 0, 0
    if conv.padding == 'same':
        total = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size)]
        rows, columns = ((t // 2, t - t // 2) for t in total)
        return (*columns, *rows)
    rows, columns = conv.padding
    return columns, columns, rows, rows


def down_conv(conv, inputs, grad):
    """P(U_ij) = sum_pq P(V_pq) U^_ij W+_(i-p)(j-q) Z_pq, group by group."""
    _, channels, height, width = inputs.shape
    mode = 'constant' if conv.padding_mode == 'zeros' else conv.padding_mode
    pad = padding_of(conv)
    # Which cell of the input each cell of the padded one is; 0: none.
    cells = torch.arange(1.0, height * width + 1, dtype=torch.float64)
    cells = F.pad(cells.view(1, 1, height, width), pad, mode=mode)
    args = (conv.kernel_size, conv.dilation, 0, conv.stride)
    sources = F.unfold(cells, *args)[0].long()  # (kh * kw, h * w)
    shifted = F.pad(inputs - inputs.min(), pad, mode=mode)
    taps = F.unfold(shifted, *args).view(channels, *sources.shape)
    weight = conv.weight.clamp(min=0).flatten(2)  # (L, K / groups, kh * kw)
    result = inputs.new_zeros(channels, height * width + 1)
    ins, outs = channels // conv.groups, len(weight) // conv.groups
    for group in range(conv.groups):
        own = taps[group * ins : (group + 1) * ins]
        for row in range(group * outs, (group + 1) * outs):
            parts = own * weight[row][:, :, None]  # (ins, kh * kw, h * w)
            total = parts.sum(dim=(0, 1))
            share = torch.where(total < 1e-10, 0, 1 / total)
            flow = parts * share * grad[0, row].flatten()
            for channel in range(ins):
                result[group * ins + channel].index_add_(
                    0, sources.flatten(), flow[channel].flatten()
                )
    return result[:, 1:].view(inputs.shape)


def reference_maps(net, inputs, peaks):
    """Return the peak response maps (P, H, W) of peaks (P, 4)."""
    results = []
    with torch.no_grad():
        for n, c, y, x in peaks.tolist():
            image = inputs[n : n + 1]
            grad = torch.zeros_like(net(image))
            grad[0, c, y, x] = 1
            response = down(net, image, grad)[0].sum(0).clamp(min=0)
            total = response.sum()
            results.append(response / total if total > 0 else response)
    return torch.stack(results)
