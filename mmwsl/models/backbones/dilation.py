"""Strides become dilations: denser maps from the same weights.

With output stride S, a convolution or pooling whose input has nominal stride
s loses the part of its stride that would lead beyond S, and its dilation is
multiplied by ``s / S`` where s is beyond S already. Where all kernels are
odd, that is torchvision's ``replace_stride_with_dilation``.

Padding keeps all maps aligned with the image:

- odd kernels are padded on both sides so that a stride t turns a size H into
  ``ceil(H / t)``. This holds also for kernels that the network leaves
  unpadded (Inception, SqueezeNet), whose maps would shrink at every layer;
- even kernels that lose their stride are padded after the last row and
  column only, because their first tap is where their original position was.
  Padded positions never count: they are -inf for a maximum, left out of an
  average, and 0 for a convolution.
"""

from functools import reduce
from typing import Any, Dict, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from mmwsl.models.backbones.graph import POOLS, pair

Sides = Tuple[int, int]
Padding = Tuple[Sides, Sides]


class DilatedAvgPool2d(nn.Module):
    """Average pooling of stride 1 with dilation, which torch lacks.

    Args:
        kernel_size: height and width of the window.
        dilation: distance of neighbouring taps in cells.
        padding: cells before and after, for rows and for columns.
        count_include_pad: divide by the window's area also at the border,
            instead of by the number of taps inside the map.
    """

    def __init__(
        self,
        kernel_size: Tuple[int, int],
        dilation: int,
        padding: Padding,
        count_include_pad: bool,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.count_include_pad = count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        """Pools (N, C, H, W) maps."""
        if self.count_include_pad:
            return self._sum(x) / (self.kernel_size[0] * self.kernel_size[1])
        return self._sum(x) / self._sum(x.new_ones((1, 1, *x.shape[2:])))

    def _sum(self, x: Tensor) -> Tensor:
        rows, columns = self.padding
        x = F.pad(x, columns + rows)
        for dim, taps in zip((2, 3), self.kernel_size):
            size = x.shape[dim] - self.dilation * (taps - 1)
            shifted = [
                x.narrow(dim, tap * self.dilation, size) for tap in range(taps)
            ]
            x = reduce(torch.add, shifted)
        return x


def check_output_stride(output_stride: int, own_stride: int) -> None:
    """Raises ValueError unless it is a power of two up to the own stride."""
    if (
        not isinstance(output_stride, int)
        or output_stride < 1
        or output_stride & (output_stride - 1)
    ):
        raise ValueError(
            f'output_stride must be a power of two, got {output_stride!r}'
        )
    if output_stride > own_stride:
        raise ValueError(
            f'output_stride {output_stride} is larger than the stride of '
            f'the network, {own_stride}'
        )


def replace_stride(
    net: fx.GraphModule, output_stride: int, dilate: bool = True
) -> None:
    """Edits the layers of a traced network so that no stride exceeds one.

    Args:
        net: the network, changed in place.
        output_stride: a power of two.
        dilate: whether layers behind a lost stride are dilated.
    """
    strides: Dict[str, int] = {}
    pads: Dict[str, Optional[Padding]] = {}
    for node in list(net.graph.nodes):
        if node.op != 'call_module':
            continue
        name, layer = str(node.target), net.get_submodule(str(node.target))
        stride = node.all_input_nodes[0].meta['stride']
        is_known = name in strides
        if stride is None or not (
            is_known or isinstance(layer, (nn.Conv2d, *POOLS))
        ):
            continue
        if not is_known:
            strides[name] = stride
            factor = max(1, stride // output_stride) if dilate else 1
            room = max(1, output_stride // stride)
            pads[name] = _edit(net, name, factor, room)
        elif strides[name] != stride:
            raise ValueError(
                f'{name} is used at strides {strides[name]} and {stride}'
            )
        sides = pads[name]
        if sides is not None:
            _insert_pad(net.graph, node, layer, sides)


def _edit(
    net: fx.GraphModule, name: str, factor: int, room: int
) -> Optional[Padding]:
    """Gives a layer its geometry; returns what must be padded before it.

    Its dilation is multiplied by ``factor``, its stride at most ``room``.
    """
    layer: Any = net.get_submodule(name)
    kernel, old = pair(layer.kernel_size), pair(layer.stride)
    new = min(old[0], room), min(old[1], room)
    lost = new != old
    has_even = kernel[0] % 2 == 0 or kernel[1] % 2 == 0
    # timm's TensorFlow layers choose their padding at run time.
    pads_itself = type(layer).__name__.endswith('Same')
    sides = _padding(layer, 0, new, factor), _padding(layer, 1, new, factor)
    if isinstance(layer, nn.AvgPool2d):
        if factor > 1 or (lost and has_even and not pads_itself):
            if pads_itself or new != (1, 1) or layer.divisor_override:
                raise ValueError(f'{name}: {layer} cannot be dilated')
            counts = layer.count_include_pad and all(a == b for a, b in sides)
            pool = DilatedAvgPool2d(kernel, factor, sides, counts)
            net.add_submodule(name, pool)
            return None
    else:
        # torch runs a dilated 1 x 1 kernel by a slower algorithm.
        layer.dilation = tuple(
            own * factor if size > 1 else own
            for own, size in zip(pair(layer.dilation), kernel)
        )
    layer.stride = new
    if pads_itself or isinstance(layer.padding, str):
        return None
    is_pool = not isinstance(layer, nn.Conv2d)
    if is_pool:
        # Of odd kernels it often stands for padding, which they have now.
        own = tuple((cells, cells) for cells in pair(layer.padding))
        keeps = has_even or sides == own
        layer.ceil_mode = layer.ceil_mode and not lost and keeps
    # Poolings refuse more padding than half their kernel, even if dilated.
    fits = all(
        before == after and not (is_pool and before > size // 2)
        for (before, after), size in zip(sides, kernel)
    )
    layer.padding = (sides[0][0], sides[1][0]) if fits else (0, 0)
    return None if fits else sides


def _padding(layer: Any, axis: int, stride: Sides, factor: int) -> Sides:
    """Padding before and after one axis (0 rows, 1 columns)."""
    size = pair(layer.kernel_size)[axis]
    reach = pair(getattr(layer, 'dilation', 1))[axis] * factor * (size - 1)
    if isinstance(layer.padding, str):
        return reach // 2, reach - reach // 2
    before = pair(layer.padding)[axis] * factor
    if size % 2 == 1:
        before = max(before, reach // 2)
    elif stride[axis] != pair(layer.stride)[axis]:
        return before, reach + 1 - stride[axis] - before
    return before, before


def _insert_pad(
    graph: fx.Graph, node: fx.Node, layer: nn.Module, sides: Padding
) -> None:
    value = float('-inf') if isinstance(layer, nn.MaxPool2d) else 0.0
    with graph.inserting_before(node):
        padded = graph.call_function(
            F.pad,
            (node.args[0], sides[1] + sides[0]),
            {'mode': 'constant', 'value': value},
        )
    padded.meta.update(node.meta)
    node.args = (padded, *node.args[1:])
