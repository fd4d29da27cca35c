"""Top-down passes through the autograd graph of a model.

The graph of one forward pass under ``TopDownMode`` is prepared once and then
serves all peaks of the image. Convolutions and layers that work cell by cell
go by windows, and what they multiply by is merged; every other layer is asked
for its own gradient, one peak after the other.

Shape shorthand: P peaks of one image, C channels, (H, W) the grid of a map.
"""

from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmwsl.models.layers.peak_vertices import Grads, Vertex, dense
from mmwsl.models.layers.peak_windows import Windows

# Class, row and column.
Peak = Tuple[int, int, int]


class TopDownGraph:
    """The way from class maps down to the image.

    Args:
        maps: Class maps (1, C, h, w), computed under ``TopDownMode``.
        image: The leaf tensor (1, K, H, W) that they were computed from.
    """

    def __init__(self, maps: Tensor, image: Tensor) -> None:
        _, self.classes, height, width = maps.shape
        self.size = (height, width)
        self.image = image
        vertices = {node: Vertex(node) for node in _sort(maps.grad_fn)}
        for node, vertex in vertices.items():
            vertex.edges = [
                (vertices[below], number) if below in vertices else None
                for below, number in node.next_functions
            ]
            for source, _ in vertex.sources:
                source.readers += 1
        self.root = (vertices[maps.grad_fn], maps.output_nr)
        self.vertices = list(vertices.values())
        for vertex in self.vertices:
            vertex.prepare()
        for vertex in self.vertices:
            vertex.merge()

    def run(self, peaks: Sequence[Peak], budget: int) -> List[Tensor]:
        """Pass probability down from P peaks.

        All of them go together as long as their gradients have no more
        than ``budget`` values, and then in halves.

        Args:
            peaks: Class, row and column of each.
            budget: Number of values of the gradients at any time.

        Returns:
            P gradients (1, K, H, W) of the image.
        """
        count = len(peaks)
        values = self.image.new_zeros(count, self.classes, 1, 1)
        for index, (label, _, _) in enumerate(peaks):
            values[index, label] = 1
        corners = [(row, column) for _, row, column in peaks]
        start = Windows(values, corners, self.size)
        vertex, number = self.root
        return self._run(0, {vertex: {number: start}}, count, budget)

    def _run(
        self,
        position: int,
        pending: Dict[Vertex, Dict[int, Grads]],
        count: int,
        budget: int,
    ) -> List[Tensor]:
        """Go on from a vertex with the gradients that arrived so far."""
        for index in range(position, len(self.vertices)):
            vertex = self.vertices[index]
            if vertex not in pending:
                continue
            if count > 1 and _volume(pending) > budget:
                half = count // 2
                parts = [(0, half), (half, count)]
                return [
                    grads
                    for a, b in parts
                    for grads in self._run(
                        index, _part(pending, a, b), b - a, budget
                    )
                ]
            arrived = pending.pop(vertex)
            if getattr(vertex.node, 'variable', None) is self.image:
                return [dense(arrived[0], i) for i in range(count)]
            for edge, grads in zip(vertex.edges, vertex.run(arrived)):
                if edge is not None and grads is not None:
                    inbox = pending.setdefault(edge[0], {})
                    inbox[edge[1]] = _sum(inbox.get(edge[1]), grads)
        return [torch.zeros_like(self.image)] * count


def dense_gradients(
    maps: Tensor, image: Tensor, peaks: Sequence[Peak]
) -> List[Tensor]:
    """Do the same by autograd alone, slower and with more memory.

    Args:
        maps: As for :class:`TopDownGraph`.
        image: As for :class:`TopDownGraph`.
        peaks: Class, row and column of each.

    Returns:
        P gradients (1, K, H, W) of the image.

    Raises:
        TypeError: If a node cannot be passed.
    """
    _sort(maps.grad_fn)
    starts = maps.new_zeros(len(peaks), *maps.shape)
    for start, peak in zip(starts, peaks):
        start[(0, *peak)] = 1
    (grads,) = torch.autograd.grad(
        maps, image, starts, retain_graph=True, is_grads_batched=True
    )
    return list(grads)


def _sort(root: Any) -> List[Any]:
    """Return the nodes below ``root`` in the order of a backward pass.

    Raises:
        TypeError: If one cannot be passed.
    """
    seen, order = set(), []
    stack = [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            if node.name() == 'CheckpointFunctionBackward':
                raise TypeError(
                    'peak back-propagation cannot go through activation '
                    'checkpointing; switch it off in the model.'
                )
            seen.add(node)
            stack.append((node, True))
            stack.extend(
                (below, False)
                for below, _ in node.next_functions
                if below is not None and below not in seen
            )
    return order[::-1]


def _volume(pending: Dict[Vertex, Dict[int, Grads]]) -> int:
    """Return the number of values of all gradients."""
    return sum(
        tensor.numel()
        for inbox in pending.values()
        for grads in inbox.values()
        for tensor in ([grads.values] if isinstance(grads, Windows) else grads)
    )


def _part(
    pending: Dict[Vertex, Dict[int, Grads]], start: int, stop: int
) -> Dict[Vertex, Dict[int, Grads]]:
    """Return the gradients of some of the peaks."""
    return {
        vertex: {
            number: grads.part(start, stop)
            if isinstance(grads, Windows)
            else grads[start:stop]
            for number, grads in inbox.items()
        }
        for vertex, inbox in pending.items()
    }


def _sum(first: Optional[Grads], second: Grads) -> Grads:
    """Sum up gradients of the same tensor; either may be used up."""
    if first is None:
        return second
    if isinstance(first, Windows) and isinstance(second, Windows):
        return first.add(second)
    return [a + b for a, b in zip(first, second)]  # type: ignore[arg-type]
