"""Merging regions into trees, several trees at once.

B: number of trees, S: number of regions at the start.
"""

from typing import Dict, NamedTuple, Sequence

import numpy as np

from mmwsl.proposals.region_graph import RegionGraph

# What merging two regions adds up; the matrices add up rows and columns.
_SUMS = ('area', 'color', 'texture', 'embedding')
_MATRICES = ('length', 'step', 'region')


class Criterion(NamedTuple):
    """How different two touching regions are: a weighted sum.

    Attributes:
        color, texture: Weight of half the L1 distance of the histograms.
        step, region: Weight of the mean of an edge map along the border.
        spectral: Weight of the distance in the spectral embedding.
        fill: Weight of the share of the image that the common box has free.
        balance: The sum is multiplied by the smaller region's share of the
            image to this power, so that small regions go first.
    """

    color: float = 0.0
    texture: float = 0.0
    step: float = 0.0
    region: float = 0.0
    spectral: float = 0.0
    fill: float = 0.0
    balance: float = 0.0


def merge_trees(
    graph: RegionGraph, criteria: Sequence[Criterion]
) -> np.ndarray:
    """Merge the two most similar touching regions until one is left.

    All trees grow in the same steps of dense arrays: with a few hundred
    regions that is faster than a queue for each tree.

    Args:
        graph (RegionGraph): S regions; every one touches another.
        criteria (Sequence[Criterion]): B ways to compare regions.

    Returns:
        np.ndarray: int64 (B, S - 1, 2): in each step the second region
        becomes part of the first one.
    """
    trees, regions = len(criteria), len(graph.area)
    state = {
        name: np.repeat(getattr(graph, name)[None], trees, axis=0)
        for name in (*_SUMS, *_MATRICES, 'box')
    }
    weights = np.array(criteria, dtype=np.float32)
    tree = np.arange(trees)
    distances = np.empty((trees, regions, regions), dtype=np.float32)
    for region in range(regions):
        row = _distances(state, weights, np.full(trees, region))
        distances[:, region] = row
    flat = distances.reshape(trees, -1)
    merges = np.empty((trees, regions - 1, 2), dtype=np.int64)
    for step in range(regions - 1):
        kept, gone = np.divmod(flat.argmin(axis=1), regions)
        merges[:, step] = np.stack([kept, gone], axis=1)
        _merge(state, tree, kept, gone)
        distances[tree, gone] = distances[tree, :, gone] = np.inf
        row = _distances(state, weights, kept)
        distances[tree, kept] = distances[tree, :, kept] = row
    return merges


def tree_members(merges: np.ndarray) -> np.ndarray:
    """List the regions of all nodes of one tree.

    Args:
        merges (np.ndarray): int64 (S - 1, 2), of one tree.

    Returns:
        np.ndarray: bool (2 S - 1, S); the S regions themselves, then what
        each merge made.
    """
    regions = len(merges) + 1
    members = np.zeros((2 * regions - 1, regions), dtype=bool)
    members[:regions] = np.eye(regions, dtype=bool)
    node_of = np.arange(regions)
    for step, (kept, gone) in enumerate(merges):
        members[regions + step] = members[node_of[kept]]
        members[regions + step] |= members[node_of[gone]]
        node_of[kept] = regions + step
    return members


def _distances(
    state: Dict[str, np.ndarray], weights: np.ndarray, region: np.ndarray
) -> np.ndarray:
    """Compare one region a tree with all others.

    Args:
        state (dict): What is known of the regions, arrays (B, S, ...).
        weights (np.ndarray): float32 (B, 7).
        region (np.ndarray): int64 (B,).

    Returns:
        np.ndarray: float32 (B, S), inf where the regions do not touch.
    """
    tree = np.arange(len(region))
    area = np.maximum(state['area'], 1)[..., None]
    total = state['area'].sum(axis=1)[:, None]

    def differences(name: str) -> np.ndarray:
        values: np.ndarray = state[name] / area
        values -= values[tree, region][:, None]
        return values

    length = state['length'][tree, region]
    shared = np.maximum(length, 1)
    parts = (
        np.abs(differences('color')).sum(axis=2) / 2,
        np.abs(differences('texture')).sum(axis=2) / 2,
        state['step'][tree, region] / shared,
        state['region'][tree, region] / shared,
        np.sqrt((differences('embedding') ** 2).sum(axis=2)),
        _free_share(state, tree, region, total),
    )
    distance = sum(w[:, None] * part for w, part in zip(weights.T, parts))
    smaller = np.minimum(state['area'], state['area'][tree, region][:, None])
    distance *= (smaller / total + 1e-4) ** weights[:, -1:]
    return np.where(length > 0, distance, np.inf)


def _free_share(
    state: Dict[str, np.ndarray],
    tree: np.ndarray,
    region: np.ndarray,
    total: np.ndarray,
) -> np.ndarray:
    """Share of the image in the common box but in neither region (B, S)."""
    box, own = state['box'], state['box'][tree, region][:, None]
    sides = np.maximum(box[..., 2:], own[..., 2:])
    sides = sides - np.minimum(box[..., :2], own[..., :2])
    used = state['area'] + state['area'][tree, region][:, None]
    return np.maximum(sides.prod(axis=2) - used, 0) / total


def _merge(
    state: Dict[str, np.ndarray],
    tree: np.ndarray,
    kept: np.ndarray,
    gone: np.ndarray,
) -> None:
    """Make the regions ``gone`` (B,) part of ``kept`` (B,), in place."""
    for name in _SUMS:
        state[name][tree, kept] += state[name][tree, gone]
        state[name][tree, gone] = 0
    for name in _MATRICES:
        matrix = state[name]
        row = matrix[tree, kept] + matrix[tree, gone]
        row[tree, kept] = row[tree, gone] = 0
        matrix[tree, kept] = matrix[tree, :, kept] = row
        matrix[tree, gone] = matrix[tree, :, gone] = 0
    box = state['box']
    box[tree, kept, :2] = np.minimum(box[tree, kept], box[tree, gone])[:, :2]
    box[tree, kept, 2:] = np.maximum(box[tree, kept], box[tree, gone])[:, 2:]
