"""Compare peak back-propagation with one backward pass per peak.

``python tools/benchmarks/peak_backprop.py`` traces 16 peaks of one random
448 x 448 image back through a ResNet-50 with random weights (or ``--arch``),
turn by turn in one process:

- ``mmwsl``: ``peak_response_maps``;
- ``backward passes``: one forward pass with the same rules as plain functions
  of autograd, and one backward pass through the graph for each peak.

It checks that the maps agree.
"""

import argparse
from typing import Any, Dict, Optional, Tuple

from mmwsl.models.backbones import TorchvisionBackbone
from mmwsl.models.layers import find_peaks, peak_response_maps

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from timing import compare, make_parser

parser = make_parser(__doc__)
parser.option('--arch', 'resnet50')
parser.option('--size', 448)
parser.option('--peaks', 16)
parser.option('--central', False)
parser.option('--device', 'cpu')


class ClassMaps(nn.Module):
    """A backbone and a 1x1 convolution to class maps."""

    def __init__(self, arch: str, num_classes: int = 20) -> None:
        super().__init__()
        self.backbone = TorchvisionBackbone(arch)
        channels = self.backbone.out_channels[-1]
        self.classifier = nn.Conv2d(channels, num_classes, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return class maps (N, C, h, w)."""
        return self.classifier(self.backbone(inputs)[-1])


def choose_peaks(maps: Tensor, count: int, central: bool) -> Tensor:
    """Draw peaks (P, 4) of one image.

    Args:
        maps: Class maps (1, C, h, w).
        count: P.
        central: Take the cells next to the centre, which see most of the
            image, instead of peaks anywhere.
    """
    if central:
        height, width = maps.shape[2:]
        rows = torch.arange(count) % 4 + height // 2 - 2
        columns = torch.arange(count) // 4 % 4 + width // 2 - 2
        zeros = torch.zeros_like(rows)
        return torch.stack([zeros, zeros, rows, columns], dim=1)
    peaks = find_peaks(maps).nonzero()
    return peaks[torch.randperm(len(peaks))[:count]]


class PlainRule(torch.autograd.Function):
    """The top-down rule as it is written, for the whole map."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight: Tensor,
        bias: Optional[Tensor],
        shifted: Tensor,
        settings: Dict[str, Any],
    ) -> Tensor:
        """Convolve."""
        ctx.weight = weight.clamp(min=0)
        total = F.conv2d(shifted, ctx.weight, None, **settings)
        ctx.inverse = total.reciprocal().masked_fill_(total < 1e-10, 0)
        ctx.shifted, ctx.settings = shifted, settings
        return F.conv2d(inputs, weight, bias, **settings)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        """Pass probability on to the inputs."""
        flow = torch.nn.grad.conv2d_input(
            ctx.shifted.shape, ctx.weight, grad * ctx.inverse, **ctx.settings
        )
        return flow * ctx.shifted, None, None, None, None


class PlainMode(TorchFunctionMode):
    """Inside, convolutions follow the plain rule, all else is as ever."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call ``func`` in its stead."""
        if func is not F.conv2d:
            return func(*args, **(kwargs or {}))
        inputs, weight, bias, stride, padding, dilation, groups = args
        shifted = inputs - inputs.amin()
        settings: Dict[str, Any] = dict(
            stride=stride, padding=padding, dilation=dilation, groups=groups
        )
        return PlainRule.apply(
            inputs, weight, bias, shifted.detach(), settings
        )


def backward_passes(model: nn.Module, image: Tensor, peaks: Tensor) -> Tensor:
    """Go forward once, and backward once for each peak."""
    with PlainMode():
        maps = model(image)
    responses = []
    for peak in peaks.tolist():
        (grad,) = torch.autograd.grad(
            maps[tuple(peak)], image, retain_graph=True
        )
        flow = grad[0].sum(dim=0).clamp(min=0)
        responses.append(flow / flow.sum())
    return torch.stack(responses)


def check(found: Tensor, expected: Tensor) -> None:
    """Stop if the maps differ."""
    error = (found - expected).abs().amax((1, 2))
    if (error > 1e-5 * expected.amax((1, 2))).any():
        raise SystemExit(f'the maps differ by {error}')


@parser.command
def main(args: argparse.Namespace) -> None:
    """Run the comparison and print the ratios."""
    torch.manual_seed(0)
    model = ClassMaps(args.arch).eval().requires_grad_(False)
    model.to(args.device)
    image = torch.randn(1, 3, args.size, args.size, device=args.device)
    with torch.no_grad():
        peaks = choose_peaks(model(image), args.peaks, args.central)
    image.requires_grad_()
    ways = {
        'mmwsl': lambda: peak_response_maps(model, image, peaks),
        'backward passes': lambda: backward_passes(model, image, peaks),
    }
    compare(args, ways, check)


if __name__ == '__main__':
    raise SystemExit(main())
