"""Gaussian filtering of scattered points in a few dimensions.

Shape shorthand: n points of d dimensions, M lattice nodes, L values a point.
"""

from typing import Iterator, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# Slots of the hash table for each node: with fewer more nodes share a slot,
# with more the table leaves the cache.
_SLOTS_PER_NODE = 16
_MOST_SLOTS = 1 << 26
# Nodes whose neighbours are looked up at once.
_BLOCK = 1024


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
        values = np.exp(lengths / (-2 * variance)).astype(np.float32)
        self.blocks = list(_matrix_rows(nodes, steps @ stride, values))

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
        blurred = [
            F.embedding_bag(
                columns, nodes, starts, mode='sum', per_sample_weights=kernel
            )
            for columns, kernel, starts in self.blocks
        ]
        nodes = torch.cat(blurred)
        return F.embedding_bag(
            self.index, nodes, mode='sum', per_sample_weights=self.weights
        )


def _lattice_steps(corners: int, limit: float) -> Tuple[np.ndarray, ...]:
    """List the lattice vectors up to a squared length.

    They have ``corners`` whole coordinates that sum to 0 and leave the same
    remainder when divided by ``corners``.

    Returns:
        The first coordinates (k, d) of the vectors, and their squared
        lengths (k,).
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
    return steps[:, :-1], (steps**2).sum(axis=1)


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
    # With odd strides all coordinates are in the last bits of a key.
    spans |= 1
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


def _matrix_rows(
    nodes: np.ndarray, steps: np.ndarray, values: np.ndarray
) -> Iterator[Tuple[Tensor, Tensor, Tensor]]:
    """Yield the matrix of the kernel between nodes, block after block.

    Args:
        nodes: Ascending keys (M,).
        steps: What each step adds to a key (k,).
        values: Of the kernel, float32 (k,).

    Yields:
        Of up to ``_BLOCK`` nodes: columns int32 and values float32 of all
        entries, row after row, and where each row starts, int32.
    """
    order = np.argsort(steps)
    steps, values = steps[order], values[order]
    table = _NodeTable(nodes)
    for first in range(0, len(nodes), _BLOCK):
        found, step, counts = table.look_up(
            nodes[first : first + _BLOCK], steps
        )
        starts = np.cumsum(counts) - counts
        yield (
            torch.from_numpy(found),
            torch.from_numpy(values[step]),
            torch.from_numpy(starts.astype(np.int32)),
        )


class _NodeTable:
    """Finds nodes by their keys: a hash table of their last bits.

    A slot holds one node, which ``shared`` marks if it has kept others out.

    Args:
        nodes: Ascending keys (M,).
    """

    def __init__(self, nodes: np.ndarray) -> None:
        self.nodes = nodes
        size = 1 << int(_SLOTS_PER_NODE * len(nodes)).bit_length()
        self.last_bits = np.int32(min(size, _MOST_SLOTS) - 1)
        slots = self._slots(nodes)
        numbers = np.arange(len(nodes), dtype=np.int32)
        table = np.full(self.last_bits + 1, -1, np.int32)
        table[slots] = numbers
        holders = table[slots]
        self.lost = np.flatnonzero(holders != numbers).astype(np.int32)
        self.lost_keys = nodes[self.lost]
        self.shared = np.zeros(len(nodes), bool)
        self.shared[holders[self.lost]] = True
        self.table = torch.from_numpy(table)

    def _slots(self, keys: np.ndarray) -> np.ndarray:
        """Return the last bits of keys, which add up as keys do."""
        return (keys & self.last_bits).astype(np.int32)

    def look_up(
        self, keys: np.ndarray, steps: np.ndarray
    ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Find the nodes that are some step away.

        Args:
            keys: int64 (n,).
            steps: int64 (k,).

        Returns:
            Nodes int32 and steps int64 of what was found, key after key, and
            how many of each key (n,).
        """
        slots = self._slots(keys)[:, None] + self._slots(steps)
        slots &= self.last_bits
        # numpy would turn the slots into 64 bits first.
        flat = torch.from_numpy(slots).flatten()
        candidates = self.table.index_select(0, flat).numpy()
        candidates = candidates.reshape(slots.shape)
        taken = candidates >= 0
        counts = np.count_nonzero(taken, axis=1)
        places = np.flatnonzero(taken)
        found = candidates.ravel()[places]
        step = places - np.repeat(np.arange(len(keys)) * len(steps), counts)
        wanted = np.repeat(keys, counts) + steps[step]
        good = self.nodes[found] == wanted
        self._find_lost(found, wanted, good)
        ends = np.concatenate([[0], np.cumsum(counts)])
        so_far = np.concatenate([[0], np.cumsum(good)])
        return found[good], step[good], np.diff(so_far[ends])

    def _find_lost(
        self, found: np.ndarray, wanted: np.ndarray, good: np.ndarray
    ) -> None:
        """Correct what another node has kept out of its slot, in place."""
        if not len(self.lost):
            return
        wrong = np.flatnonzero(~good)
        wrong = wrong[self.shared[found[wrong]]]
        at = np.searchsorted(self.lost_keys, wanted[wrong])
        at[at == len(self.lost)] = 0
        hit = self.lost_keys[at] == wanted[wrong]
        found[wrong[hit]] = self.lost[at[hit]]
        good[wrong[hit]] = True
