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

from typing import Dict, Tuple, Union

import torch.nn.functional as F
from torch import Tensor, fx, nn

from mmwsl.models.backbones.graph import POOLS, Strides, pair

Sides = Tuple[int, int]
Layer = Union[nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d]


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
        padding: Tuple[Sides, Sides],
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
        counts = self._sum(x.new_ones((1, 1, *x.shape[2:])))
        return self._sum(x) / counts

    def _sum(self, x: Tensor) -> Tensor:
        rows, columns = self.padding
        x = F.pad(x, columns + rows)
        for dim, taps in zip((2, 3), self.kernel_size):
            size = x.shape[dim] - self.dilation * (taps - 1)
            shifts = [tap * self.dilation for tap in range(taps)]
            total = x.narrow(dim, 0, size)
            for shift in shifts[1:]:
                total = total + x.narrow(dim, shift, size)
            x = total
        return x

    def extra_repr(self) -> str:
        """The arguments, as torch prints a layer's."""
        return (
            f'kernel_size={self.kernel_size}, dilation={self.dilation}, '
            f'padding={self.padding}, '
            f'count_include_pad={self.count_include_pad}'
        )


def check_output_stride(output_stride: int, own_stride: int) -> None:
    """Raises ValueError unless it is a power of two up to the own stride."""
    is_power = (
        isinstance(output_stride, int)
        and output_stride > 0
        and output_stride & (output_stride - 1) == 0
    )
    if not is_power:
        raise ValueError(
            f'output_stride must be a power of two, got {output_stride!r}'
        )
    if output_stride > own_stride:
        raise ValueError(
            f'output_stride {output_stride} is larger than the stride of '
            f'the network, {own_stride}'
        )


def replace_stride(
    model: nn.Module, graph: fx.Graph, strides: Strides, output_stride: int
) -> None:
    """Edits the layers of ``graph`` so that no stride exceeds the given one.

    Args:
        model: the traced network, changed in place.
        graph: its graph, changed in place.
        strides: the nominal stride of every node.
        output_stride: a power of two.
    """
    seen: Dict[str, int] = {}
    for node in list(graph.nodes):
        if node.op != 'call_module':
            continue
        layer = model.get_submodule(node.target)
        before = [strides[n] for n in node.all_input_nodes]
        if not isinstance(layer, (nn.Conv2d, *POOLS)) or before[0] is None:
            continue
        stride = seen.setdefault(node.target, before[0])
        if stride != before[0]:
            raise ValueError(
                f'{node.target} is used at strides {stride} and {before[0]}'
            )
        _edit(model, graph, node, layer, stride, output_stride)


def _edit(
    model: nn.Module,
    graph: fx.Graph,
    node: fx.Node,
    layer: Layer,
    stride: int,
    output_stride: int,
) -> None:
    factor = max(1, stride // output_stride)
    room = max(1, output_stride // stride)
    old = pair(layer.stride)
    new = (min(old[0], room), min(old[1], room))
    if type(layer).__name__.endswith('Same'):
        # timm's TensorFlow layers choose their padding at run time.
        _set_geometry(layer, new, factor)
        return
    dilation = pair(getattr(layer, 'dilation', 1))
    sides = (
        _padding(layer, 0, old[0], new[0], dilation[0], factor),
        _padding(layer, 1, old[1], new[1], dilation[1], factor),
    )
    lost = new != old
    even = any(size % 2 == 0 for size in pair(layer.kernel_size))
    if isinstance(layer, nn.AvgPool2d) and (factor > 1 or (lost and even)):
        _dilate_average(model, node, layer, new, factor, sides)
        return
    _set_geometry(layer, new, factor)
    if not isinstance(layer, nn.Conv2d):
        layer.ceil_mode = layer.ceil_mode and not lost and even
    if isinstance(layer.padding, str):
        return
    if _fits_layer(layer, sides):
        layer.padding = (sides[0][0], sides[1][0])
    else:
        _insert_pad(graph, node, layer, sides)
        layer.padding = (0, 0)


def _fits_layer(layer: Layer, sides: Tuple[Sides, Sides]) -> bool:
    # Poolings refuse more padding than half their kernel, even if dilated.
    return all(
        before == after
        and (isinstance(layer, nn.Conv2d) or before <= size // 2)
        for (before, after), size in zip(sides, pair(layer.kernel_size))
    )


def _padding(
    layer: Layer, axis: int, old: int, new: int, dilation: int, factor: int
) -> Sides:
    """Padding before and after one axis (0 rows, 1 columns)."""
    size = pair(layer.kernel_size)[axis]
    reach = dilation * factor * (size - 1)
    if isinstance(layer.padding, str):
        return reach // 2, reach - reach // 2
    before = pair(layer.padding)[axis] * factor
    if size % 2 == 1:
        before = max(before, reach // 2)
        return before, before
    if old == new:
        return before, before
    return before, reach + 1 - new - before


def _set_geometry(layer: Layer, stride: Sides, factor: int) -> None:
    if isinstance(layer, nn.AvgPool2d):
        if factor > 1:
            raise ValueError(f'{layer} cannot be dilated')
    else:
        # torch runs a dilated 1 x 1 kernel by a slower algorithm.
        rows, columns = (
            old * factor if size > 1 else old
            for old, size in zip(pair(layer.dilation), pair(layer.kernel_size))
        )
        layer.dilation = (rows, columns)
    layer.stride = stride


def _dilate_average(
    model: nn.Module,
    node: fx.Node,
    layer: nn.AvgPool2d,
    stride: Sides,
    factor: int,
    sides: Tuple[Sides, Sides],
) -> None:
    if stride != (1, 1) or layer.divisor_override:
        raise ValueError(f'{node.target}: {layer} cannot be dilated')
    even = any(before != after for before, after in sides)
    pool = DilatedAvgPool2d(
        pair(layer.kernel_size),
        factor,
        sides,
        layer.count_include_pad and not even,
    )
    parent, _, leaf = str(node.target).rpartition('.')
    setattr(model.get_submodule(parent), leaf, pool)


def _insert_pad(
    graph: fx.Graph, node: fx.Node, layer: Layer, sides: Tuple[Sides, Sides]
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
