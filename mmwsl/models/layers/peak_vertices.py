"""The nodes of an autograd graph, prepared for top-down passes.

Shape shorthand: P peaks of one image, C channels, (H, W) the grid of a map.
"""

from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from mmwsl.models.layers.peak_rules import ConvRule
from mmwsl.models.layers.peak_windows import Windows

# Windows for maps (1, C, H, W), P tensors for all other shapes.
Grads = Union[Windows, List[Tensor]]

# Nodes whose gradient is a multiplication cell by cell, provided that one
# input, of the same shape, depends on the image.
_CELLWISE = (
    'AddBackward0',
    'CloneBackward0',
    'CudnnBatchNormBackward0',
    'DivBackward0',
    'EluBackward0',
    'GeluBackward0',
    'HardsigmoidBackward0',
    'HardswishBackward0',
    'HardtanhBackward0',
    'LeakyReluBackward0',
    'MishBackward0',
    'MulBackward0',
    'NativeBatchNormBackward0',
    'NegBackward0',
    'ReluBackward0',
    'SigmoidBackward0',
    'SiluBackward0',
    'SoftplusBackward0',
    'SubBackward0',
    'TanhBackward0',
    'ThresholdBackward0',
)


class Step:
    """Multiplies by a map, if need be after going down a convolution.

    Attributes:
        factor: The map (1, C, H, W).
        rule: The convolution.
    """

    def __init__(self, factor: Tensor, rule: Optional[ConvRule]) -> None:
        self.factor = factor
        self.rule = rule

    def run(self, grads: Windows) -> Windows:
        """Return the gradients one step further down."""
        if self.rule is None:
            return grads.scale(self.factor)
        return grads.spread(self.rule, self.factor)


class Vertex:
    """A node of the autograd graph, prepared.

    Attributes:
        node: The node, None once steps replace it.
        shapes: Shapes of the outputs of the layer.
        steps: What replaces the node, None if the node is to be asked.
        edges: For each input of the layer the vertex that it comes from and
            the number of its output there, None for constants.
        readers: How many inputs of other layers read this one's outputs.
    """

    def __init__(self, node: Any) -> None:
        self.node = node
        self.shapes = [tuple(meta.shape) for meta in node._input_metadata]
        self.steps: Optional[List[Step]] = None
        self.edges: List[Optional[Tuple[Vertex, int]]] = []
        self.readers = 0
        # Where what comes next can be multiplied in.
        self._last: Optional[Step] = None

    @property
    def sources(self) -> List[Tuple['Vertex', int]]:
        """The edges that lead to the image."""
        return [edge for edge in self.edges if edge is not None]

    def prepare(self) -> None:
        """Replace the node by steps if it is of a known kind."""
        node, shape = self.node, self.shapes[0]
        if len(self.shapes) > 1 or len(shape) != 4 or shape[0] != 1:
            return
        alike = [source.shapes[nr] == shape for source, nr in self.sources]
        if isinstance(getattr(node, 'rule', None), ConvRule):
            self.steps = [
                Step(node.inverse, None),
                Step(node.shifted, node.rule),
            ]
            # They go with the steps, however long the graph lives.
            del node.inverse, node.shifted
        elif node.name() == 'AddBackward0' and len(alike) == 2:
            if all(alike) and node._saved_alpha == 1:
                self.steps = []
        elif node.name() in _CELLWISE and alike == [True]:
            if getattr(node, '_saved_training', False):
                return
            meta = node._input_metadata[0]
            ones = torch.ones((), dtype=meta.dtype, device=meta.device)
            grads = _as_tuple(node(ones.expand(shape)))
            self.steps = [Step(_first(grads), None)]
        if self.steps is not None:
            self.node = None
            self._last = self.steps[-1] if self.steps else None

    def merge(self) -> None:
        """Multiply in what the only source starts with.

        To be called in the order of a backward pass.
        """
        if len(self.sources) != 1 or self._last is None:
            return
        source = self.sources[0][0]
        if source.readers > 1 or not source.steps or source.steps[0].rule:
            return
        self._last.factor = self._last.factor * source.steps.pop(0).factor
        if not source.steps:
            source._last = self._last

    def run(self, arrived: Dict[int, Grads]) -> List[Optional[Grads]]:
        """Return the gradients of the inputs from those of the outputs.

        Args:
            arrived: By the number of the output; what is absent is zero.
        """
        if self.steps is None:
            return self._ask(arrived)
        grads = arrived[0]
        if not isinstance(grads, Windows):
            raise TypeError('maps must have windows.')
        for step in self.steps:
            grads = step.run(grads)
        if len(self.sources) == 1:
            return [edge and grads for edge in self.edges]
        return [edge and grads.shared() for edge in self.edges]

    def _ask(self, arrived: Dict[int, Grads]) -> List[Optional[Grads]]:
        """Call the node for one peak after the other."""
        some = next(iter(arrived.values()))
        count = len(some.values if isinstance(some, Windows) else some)
        example = dense(some, 0)
        call = getattr(self.node, 'apply', self.node)
        rows = []
        for index in range(count):
            grads = [
                dense(arrived[number], index)
                if number in arrived
                else example.new_zeros(shape)
                for number, shape in enumerate(self.shapes)
            ]
            rows.append(_as_tuple(call(*grads)))
        results: List[Optional[Grads]] = []
        for edge, column in zip(self.edges, zip(*rows)):
            if edge is None or column[0] is None:
                results.append(None)
                continue
            shape = edge[0].shapes[edge[1]]
            # The gradient of what was broadcast.
            maps = [grad.sum_to_size(shape) for grad in column]
            is_map = len(shape) == 4 and shape[0] == 1
            results.append(Windows.from_dense(maps) if is_map else maps)
        return results


def dense(grads: Grads, index: int) -> Tensor:
    """Return the gradient of one peak in the shape of the tensor."""
    if isinstance(grads, Windows):
        return grads.dense(index)
    return grads[index]


def _as_tuple(value: Any) -> Tuple[Optional[Tensor], ...]:
    return value if isinstance(value, tuple) else (value,)


def _first(grads: Sequence[Optional[Tensor]]) -> Tensor:
    return next(grad for grad in grads if grad is not None)
