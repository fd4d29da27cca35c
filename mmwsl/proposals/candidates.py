"""Which sets of regions may be objects.

S: number of regions, K: number of candidates.
"""

import numpy as np

from mmwsl.proposals.merging import tree_members
from mmwsl.proposals.region_graph import RegionGraph

# Of how many regions at the top of a tree pairs are joined.
_PAIRED = 20


def candidate_sets(
    graph: RegionGraph,
    merges: np.ndarray,
    min_share: float,
    max_share: float,
) -> np.ndarray:
    """Collect the nodes of all trees, and pairs of nodes near the top.

    A pair is joined if its nodes touch and share no region. That makes up
    for objects of two colours, which trees join with the background first.

    Args:
        graph (RegionGraph): S regions.
        merges (np.ndarray): int64 (B, S - 1, 2), the trees.
        min_share (float): Smallest share of the image.
        max_share (float): Largest share of the image.

    Returns:
        np.ndarray: bool (K, S), each set once.
    """
    regions = len(graph.area)
    found = []
    for merge in merges:
        members = tree_members(merge)
        large = _within(graph, members, min_share, 1.0)
        # The top: what the last merges made, and what they were made of.
        last = min(_PAIRED, regions - 1)
        top = members[_top_nodes(merge, last)]
        top = top[_within(graph, top, min_share, 1.0)]
        found += [members[large], _joined_pairs(graph, top)]
    sets = _unique(np.concatenate(found))
    return sets[_within(graph, sets, min_share, max_share)]


def _within(
    graph: RegionGraph, sets: np.ndarray, low: float, high: float
) -> np.ndarray:
    share = sets @ graph.area / graph.area.sum()
    inside: np.ndarray = (share >= low) & (share <= high)
    return inside


def _top_nodes(merge: np.ndarray, last: int) -> np.ndarray:
    """Return the nodes of the last merges and their children."""
    regions = len(merge) + 1
    node_of = np.arange(regions)
    nodes = set()
    for step, (kept, gone) in enumerate(merge):
        if step >= regions - 1 - last:
            nodes |= {node_of[kept], node_of[gone], regions + step}
        node_of[kept] = regions + step
    return np.array(sorted(nodes), dtype=np.int64)


def _joined_pairs(graph: RegionGraph, sets: np.ndarray) -> np.ndarray:
    values = sets.astype(np.float32)
    apart = values @ values.T == 0
    touching = values @ graph.length @ values.T > 0
    one, other = np.nonzero(np.triu(apart & touching, 1))
    joined: np.ndarray = sets[one] | sets[other]
    return joined


def _unique(sets: np.ndarray) -> np.ndarray:
    """Return each row of a boolean matrix once, in a fixed order."""
    packed = np.ascontiguousarray(np.packbits(sets, axis=1))
    rows = packed.view(np.dtype((np.void, packed.shape[1]))).reshape(-1)
    _, first = np.unique(rows, return_index=True)
    return sets[np.sort(first)]
