"""Tests of region graphs, trees and candidates."""

import itertools

import numpy as np
import pytest

from mmwsl.proposals.candidates import candidate_sets
from mmwsl.proposals.edges import edge_maps, to_lab
from mmwsl.proposals.merging import Criterion, merge_trees, tree_members
from mmwsl.proposals.region_graph import affinities, region_graph

CRITERIA = (
    Criterion(color=1.0),
    Criterion(texture=1.0, step=0.5, balance=0.3),
    Criterion(region=1.0, spectral=0.1, fill=0.5),
)


@pytest.fixture(scope='module')
def picture():
    """Labels, colours and edges of twelve regions of random noise."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (3, 4, 3)).repeat(8, 0).repeat(8, 1)
    img = (coarse + rng.normal(0, 9, coarse.shape)).clip(0, 255)
    lab = to_lab(img.astype(np.uint8))
    labels = np.arange(12).reshape(3, 4).repeat(8, 0).repeat(8, 1)
    return labels, lab, edge_maps(lab)


@pytest.fixture(scope='module')
def graph(picture):
    return region_graph(*picture)


def test_sums_of_regions(picture, graph) -> None:
    labels, lab, edges = picture
    assert graph.area.tolist() == [64] * 12
    assert graph.rim[[0, 1, 5]].tolist() == [16, 8, 0]
    assert graph.box[6].tolist() == [16, 8, 24, 16]
    np.testing.assert_allclose(graph.color.sum(axis=1), 64, rtol=1e-5)
    np.testing.assert_allclose(graph.texture.sum(axis=1), 64)
    assert graph.length[0, 1] == graph.length[4, 0] == 8
    assert graph.length[0, 5] == 0
    column = np.maximum(edges.step[:8, 7], edges.step[:8, 8])
    assert graph.step[1, 0] == pytest.approx(column.sum(), rel=1e-5)


def test_embedding_keeps_apart_what_edges_part() -> None:
    img = np.full((32, 64, 3), 60, dtype=np.uint8)
    img[:, 32:] = 190
    lab = to_lab(img)
    labels = np.arange(8).reshape(2, 4).repeat(16, 0).repeat(16, 1)
    graph = region_graph(labels, lab, edge_maps(lab))
    first = graph.embedding[:, 0] / graph.area
    assert np.ptp(first[[0, 1, 4, 5]]) < 0.05 * np.ptp(first)
    assert first[0] * first[3] < 0


def merged_by_definition(graph, criterion):
    """Grow one tree from pairs, all of them measured in every step."""
    sets = {i: [i] for i in range(len(graph.area))}
    total = graph.area.sum()
    merges = []

    def distance(one, other):
        a, b = sets[one], sets[other]

        def mean(name, of):
            values = getattr(graph, name)[of]
            return values.sum(axis=0) / graph.area[of].sum()

        def border(name):
            return getattr(graph, name)[np.ix_(a, b)].sum()

        if not border('length'):
            return np.inf
        boxes = graph.box[a + b]
        sides = boxes[:, 2:].max(axis=0) - boxes[:, :2].min(axis=0)
        parts = [
            abs(mean('color', a) - mean('color', b)).sum() / 2,
            abs(mean('texture', a) - mean('texture', b)).sum() / 2,
            border('step') / border('length'),
            border('region') / border('length'),
            np.linalg.norm(mean('embedding', a) - mean('embedding', b)),
            (sides.prod() - graph.area[a + b].sum()) / total,
        ]
        smaller = min(graph.area[a].sum(), graph.area[b].sum()) / total
        return np.dot(parts, criterion[:6]) * (smaller + 1e-4) ** criterion[6]

    while len(sets) > 1:
        one, other = min(
            itertools.combinations(sorted(sets), 2), key=lambda p: distance(*p)
        )
        merges.append((one, other))
        sets[one] = sets[one] + sets.pop(other)
    return merges


def test_trees_like_the_definition(graph) -> None:
    merges = merge_trees(graph, CRITERIA)
    assert merges.shape == (3, 11, 2)
    for criterion, tree in zip(CRITERIA, merges):
        expected = merged_by_definition(graph, criterion)
        assert tree.tolist() == [list(pair) for pair in expected]


def test_tree_members() -> None:
    members = tree_members(np.array([[0, 2], [1, 3], [0, 1]]))
    assert members.astype(int).tolist() == [
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 1],
        [1, 0, 1, 0],
        [0, 1, 0, 1],
        [1, 1, 1, 1],
    ]


def test_candidates_are_nodes_and_touching_pairs(graph) -> None:
    merges = merge_trees(graph, CRITERIA[:1])
    sets = candidate_sets(graph, merges, 0.0, 1.0)
    found = {tuple(row) for row in sets.tolist()}
    assert len(found) == len(sets)
    nodes = tree_members(merges[0])
    assert {tuple(row) for row in nodes.tolist()} <= found
    # With twelve regions every pair of nodes counts as near the top.
    touch = graph.length > 0
    for one, other in itertools.combinations(nodes, 2):
        joined = tuple((one | other).tolist())
        if not (one & other).any():
            touching = touch[np.ix_(one, other)].any()
            assert (joined in found) >= touching
            if not touching:
                assert joined not in found
    few = candidate_sets(graph, merges, 0.1, 0.5)
    shares = few @ graph.area / graph.area.sum()
    assert shares.min() >= 0.1
    assert shares.max() <= 0.5


def test_affinities(graph) -> None:
    assert affinities(graph)[0, 5] == 0
    edge = (graph.step[0, 1] + graph.region[0, 1]) / 16
    assert affinities(graph)[0, 1] == pytest.approx(8 * np.exp(-edge / 0.12))
