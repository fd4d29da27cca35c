"""Gaussian filtering of scattered points in a few dimensions.

Shape shorthand: n points of d dimensions, M lattice nodes, L values a point.
"""

from typing import Iterator, List, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# Sizes of the hash table, prime so that strides of keys do not collide.
_TABLE_SIZES = (1048573, 4194301, 16777213, 67108859)


class GaussianLattice:
    """Sums ``sum_j exp(-|x_i - x_j|^2 / 2) v_j`` up to a common factor.

    Points are spread over the corners of their simplex in the permutohedral
    lattice (https://doi.org/10.1111/j.1467-8659.2009.01645.x), which has
    d + 1 corners instead of the 2^d of a grid. Between the occupied nodes
    the kernel is summed directly, with the variance that spreading and
    reading have already added taken off. The usual blur along one axis
    after another is cheaper but loses what would travel over nodes that are
    not occupied, and these are most in five dimensions.

    Args:
        points: Float (n, d), in units of the kernel's standard deviation.
        fineness: Nodes a unit of length; the error falls with its square,
            the time grows with its fifth power.
        cutoff: Distance in standard deviations beyond which nodes do not
            see each other.

    Raises:
        ValueError: If the points lie too far apart to number the nodes.
    """

    def __init__(
        self, points: np.ndarray, fineness: float = 1.0, cutoff: float = 3.0
    ) -> None:
        corners = points.shape[1] + 1
        # Variances in lattice units: that of the whole, of spreading and
        # reading together, and what is left for the sum between nodes.
        total = 2 / 3 * (corners * fineness) ** 2
        variance = total - corners**2 / 6
        steps, lengths = _lattice_steps(corners, cutoff**2 * variance)
        weights, rest, rank = _enclosing_simplex(points, np.sqrt(total))
        keys, stride = _corner_keys(rest, rank, int(np.abs(steps).max()))
        nodes, index = np.unique(keys, return_inverse=True)
        self.index = torch.from_numpy(index.reshape(keys.shape))
        self.weights = torch.from_numpy(weights)
        self._set_spread(index.ravel())
        pairs = _pairs(nodes, steps @ stride)
        values = np.exp(lengths / (-2 * variance)).astype(np.float32)
        self.columns, self.values, self.starts = _rows(
            list(pairs), values, len(nodes)
        )

    def _set_spread(self, index: np.ndarray) -> None:
        """Store the transpose of the weights, node after node."""
        order = np.argsort(index, kind='stable')
        self.points = torch.from_numpy(order // self.weights.shape[1])
        self.point_weights = self.weights.flatten()[torch.from_numpy(order)]
        counts = np.bincount(index)
        self.point_starts = torch.from_numpy(np.cumsum(counts) - counts)

    def __call__(self, values: Tensor) -> Tensor:
        """Filter values.

        Args:
            values: Float32 (n, L).

        Returns:
            Float32 (n, L).
        """
        # Three products of a sparse and a dense matrix, for which this is
        # torch's fastest way.
        nodes = F.embedding_bag(
            self.points,
            values,
            self.point_starts,
            mode='sum',
            per_sample_weights=self.point_weights,
        )
        nodes = F.embedding_bag(
            self.columns,
            nodes,
            self.starts,
            mode='sum',
            per_sample_weights=self.values,
        )
        return F.embedding_bag(
            self.index, nodes, mode='sum', per_sample_weights=self.weights
        )


def _lattice_steps(corners: int, limit: float) -> Tuple[np.ndarray, ...]:
    """List the lattice vectors up to a squared length.

    They have ``corners`` whole coordinates that sum to 0 and leave the same
    remainder when divided by ``corners``.

    Returns:
        The first coordinates (k, d) of one of each pair of opposite
        vectors, the null vector first, and their squared lengths (k,).
    """
    reach = int(np.ceil(np.sqrt(limit)))
    numbers = np.arange(-reach, reach + 1)
    found = []
    for remainder in range(corners):
        own = numbers[numbers % corners == remainder]
        grid = np.meshgrid(*[own] * (corners - 1), indexing='ij')
        first = np.stack(grid, axis=-1).reshape(-1, corners - 1)
        last = -first.sum(axis=1, keepdims=True)
        vectors = np.concatenate([first, last], axis=1)
        vectors = vectors[last[:, 0] % corners == remainder]
        found.append(vectors[(vectors**2).sum(axis=1) <= limit])
    steps = np.concatenate(found)
    # Of v and -v the one whose first coordinate unlike 0 is positive.
    sign = np.take_along_axis(
        steps, (steps != 0).argmax(axis=1)[:, None], axis=1
    )[:, 0]
    steps = steps[sign >= 0]
    lengths = (steps**2).sum(axis=1)
    order = np.argsort(lengths, kind='stable')
    return steps[order, :-1], lengths[order]


def _enclosing_simplex(
    points: np.ndarray, deviation: float
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the simplex around every point.

    Returns:
        Barycentric weights float32 (n, d + 1) of the corners, corner with
        remainder 0 first; that corner's coordinates int64 (n, d + 1); and
        the rank (n, d + 1) of each coordinate's distance from it.
    """
    number, dims = points.shape
    corners = dims + 1
    axes = np.arange(1, corners)
    scaled = points * (deviation / np.sqrt(axes * (axes + 1)))
    # Onto the plane in which the coordinates sum to 0.
    raised = np.zeros((number, corners))
    raised[:, :-1] = scaled[:, ::-1].cumsum(axis=1)[:, ::-1]
    raised[:, 1:] -= axes * scaled
    nearest = np.round(raised / corners)
    rank = (nearest * corners - raised).argsort(axis=1, kind='stable')
    rank = rank.argsort(axis=1, kind='stable')
    rank += nearest.sum(axis=1, keepdims=True).astype(np.int64)
    shift = (rank < 0).astype(np.int64) - (rank > dims)
    nearest += shift
    rank += shift * corners
    inside = raised / corners - nearest
    weights = np.zeros((number, corners + 1))
    ordered = np.empty_like(inside)
    np.put_along_axis(ordered, dims - rank, inside, axis=1)
    weights[:, :-1] = ordered
    weights[:, 1:] -= ordered
    weights[:, 0] += 1 + weights[:, -1]
    rest = (nearest * corners).astype(np.int64)
    return weights[:, :-1].astype(np.float32), rest, rank


def _corner_keys(
    rest: np.ndarray, rank: np.ndarray, margin: int
) -> Tuple[np.ndarray, np.ndarray]:
    """Number the corners of the simplices.

    Returns:
        Keys int64 (n, d + 1), and the stride (d,) that a step in each
        coordinate adds to a key. Keys plus a step of at most ``margin`` in
        every coordinate are unique as well.
    """
    corners = rest.shape[1]
    margin += corners
    low = rest[:, :-1].min(axis=0) - margin
    spans = rest[:, :-1].max(axis=0) + margin + 1 - low
    if np.prod(spans.astype(np.float64)) > 2**62:
        raise ValueError(
            'the points lie too far apart for a lattice: a standard '
            'deviation of the kernel is too small'
        )
    stride = np.cumprod([1, *spans[:-1].tolist()])
    base = (rest[:, :-1] - low) @ stride
    keys = np.empty(rest.shape, np.int64)
    for corner in range(corners):
        back = rank[:, :-1] >= corners - corner
        keys[:, corner] = (
            base + corner * stride.sum() - corners * (back @ stride)
        )
    return keys, stride


def _pairs(
    nodes: np.ndarray, steps: np.ndarray
) -> Iterator[Tuple[np.ndarray, np.ndarray]]:
    """Yield for each step the nodes that have a node there, and that node.

    Args:
        nodes: Ascending keys (M,).
        steps: What each step adds to a key.
    """
    number = len(nodes)
    size = next((s for s in _TABLE_SIZES if s > 8 * number), _TABLE_SIZES[-1])
    slots = nodes % size
    table = np.full(size, -1, np.int32)
    table[slots] = np.arange(number, dtype=np.int32)
    # Nodes whose slot another one has taken are looked up the other way.
    lost = np.flatnonzero(table[slots] != np.arange(number))
    for step in steps:
        target = slots + step % size
        np.subtract(target, size, out=target, where=target >= size)
        found = table[target]
        rows = np.flatnonzero(nodes[found] == nodes + step)
        wanted = nodes[lost] - step
        at = np.searchsorted(nodes, wanted)
        at[at == number] = 0
        hit = nodes[at] == wanted
        yield (
            np.concatenate([rows, at[hit]]),
            np.concatenate([found[rows], lost[hit]]),
        )


def _rows(
    pairs: List[Tuple[np.ndarray, np.ndarray]],
    values: np.ndarray,
    number: int,
) -> Tuple[Tensor, Tensor, Tensor]:
    """Collect pairs of nodes and their opposites as rows of a matrix.

    Returns:
        Columns int32 and values float32 of all entries, row after row, and
        where each row starts, int32 (M,).
    """
    counts = np.zeros(number, np.int64)
    for first, second in pairs:
        counts[first] += 1
        counts[second] += 1
    # The null step, which comes first, is its own opposite.
    counts -= 1
    starts = np.cumsum(counts) - counts
    # Column and value of an entry side by side, so that one write, which
    # misses the cache, places both.
    entries = np.empty(int(counts.sum()), np.int64)
    halves = values.view(np.int32).astype(np.int64) << 32
    free = starts.copy()
    for number_of_step, (first, second) in enumerate(pairs):
        for rows, columns in ((first, second), (second, first)):
            places = free[rows]
            entries[places] = columns | halves[number_of_step]
            free[rows] = places + 1
            if number_of_step == 0:
                break
    columns, entry_values = entries.view(np.int32).reshape(-1, 2).T
    return (
        torch.from_numpy(columns.copy()),
        torch.from_numpy(entry_values.copy().view(np.float32)),
        torch.from_numpy(starts.astype(np.int32)),
    )
