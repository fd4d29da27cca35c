"""Tests of the proposal generator, as a whole and step by step."""

import itertools
from typing import Tuple

import numpy as np
import pytest

from mmwsl.datasets import ToyDataset
from mmwsl.proposals import ProposalGenerator
from mmwsl.proposals.generator import (
    Criterion,
    candidate_sets,
    choose,
    merge_trees,
    object_prior,
    set_ious,
    set_properties,
    tree_members,
)
from mmwsl.proposals.regions import (
    RegionGraph,
    affinities,
    edge_maps,
    region_graph,
    to_lab,
)
from mmwsl.utils.arrays import mask_iou

FEW_CRITERIA = (
    Criterion(color=1.0),
    Criterion(texture=1.0, step=0.5, balance=0.3),
    Criterion(region=1.0, spectral=0.1, fill=0.5),
)


def scene() -> Tuple[np.ndarray, np.ndarray]:
    """A grey picture with a red disc and a blue box, with noise."""
    rng = np.random.default_rng(0)
    img = np.full((120, 160, 3), 128.0)
    y, x = np.mgrid[:120, :160]
    disc = (y - 50) ** 2 + (x - 40) ** 2 < 25**2
    box = (abs(y - 70) < 30) & (abs(x - 115) < 20)
    img[disc] = 40, 40, 200
    img[box] = 200, 60, 40
    img += rng.normal(0, 6, img.shape)
    return img.clip(0, 255).astype(np.uint8), np.stack([disc, box])


def test_finds_plain_objects_first() -> None:
    img, objects = scene()
    proposals = ProposalGenerator(max_proposals=50, num_superpixels=60)(img)
    assert proposals.size == (120, 160)
    assert 1 < len(proposals) <= 50
    assert mask_iou(objects, proposals[:10].masks).max(axis=1).min() > 0.9
    # What each adds never rises, and in all it is at most 1.
    assert (np.diff(proposals.scores) <= 0).all()
    assert 0.5 < proposals.scores.sum() <= 1 + 1e-4


def test_same_image_same_proposals() -> None:
    img, _ = scene()
    generator = ProposalGenerator(max_proposals=20, num_superpixels=40)
    first, second = generator(img), generator(img.copy())
    np.testing.assert_array_equal(first.masks, second.masks)
    np.testing.assert_array_equal(first.scores, second.scores)


def test_edges_of_a_network() -> None:
    # The picture shows nothing; only the edges say where the object is.
    noise = np.random.default_rng(0).integers(100, 110, (90, 120, 3), np.uint8)
    rows, columns = slice(20, 60), slice(30, 80)
    objects = np.zeros((1, 90, 120), dtype=bool)
    objects[0, rows, columns] = True
    edges = np.zeros((90, 120), dtype=np.float32)
    edges[18:62, 28:82] = 0.9
    edges[22:58, 32:78] = 0
    generator = ProposalGenerator(max_proposals=5, num_superpixels=60)
    found = [
        mask_iou(objects, generator(noise, given).masks).max()
        for given in (edges, None)
    ]
    assert found[0] > 0.7
    assert found[1] < 0.5
    with pytest.raises(ValueError, match=r'edges are \(120, 90\)'):
        generator(noise, edges.T)


def test_sizes_in_range() -> None:
    img, _ = scene()
    generator = ProposalGenerator(
        num_superpixels=60, min_share=0.05, max_share=0.5
    )
    shares = generator(img).masks.sum(axis=(1, 2)) / (120 * 160)
    # Regions are measured in the enlarged image.
    assert shares.min() > 0.045
    assert shares.max() < 0.51


@pytest.mark.parametrize('size', [(8, 8), (9, 400), (400, 9), (600, 500)])
@pytest.mark.parametrize('kind', ['flat', 'noise'])
def test_unusual_images(size, kind) -> None:
    img = np.full((*size, 3), 77, dtype=np.uint8)
    if kind == 'noise':
        img = np.random.default_rng(0).integers(0, 256, img.shape, np.uint8)
    proposals = ProposalGenerator(
        max_proposals=5, num_superpixels=30, pixels=(9000, 90000)
    )(img)
    assert proposals.size == size
    assert 1 <= len(proposals) <= 5
    assert proposals.masks.sum(axis=(1, 2)).min() > 0
    assert np.isfinite(proposals.scores).all()


@pytest.mark.parametrize('number', [100, 200, 1000])
@pytest.mark.parametrize('kind', ['black', 'white', 'halves', 'stripes'])
def test_plain_pictures_end(kind, number) -> None:
    img = np.full((60, 80, 3), 255 * (kind == 'white'), dtype=np.uint8)
    if kind == 'halves':
        img[:, 40:] = 200
    elif kind == 'stripes':
        img[:, ::8] = 200
    proposals = ProposalGenerator(number, 40, pixels=(4000, 9000))(img)
    assert 1 <= len(proposals) <= number
    assert proposals.masks.sum(axis=(1, 2)).min() > 0
    assert (np.diff(proposals.scores) <= 0).all()


@pytest.mark.parametrize('size', [(1, 1), (1, 7), (2, 2), (1500, 2000)])
def test_tiny_and_huge_pictures(size) -> None:
    img = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    proposals = ProposalGenerator(9, 40, pixels=(4000, 9000))(img)
    assert proposals.size == size
    assert 1 <= len(proposals) <= 9
    assert proposals.masks.sum(axis=(1, 2)).min() > 0


def test_toy_picture() -> None:
    info = ToyDataset(1, test_mode=True).get_data_info(0)
    found = ProposalGenerator(num_superpixels=100)(info['img']).masks
    assert mask_iou(info['eval_ann']['masks'], found).max(axis=1).mean() > 0.6


def test_bad_input() -> None:
    for wrong in (dict(max_proposals=0), dict(num_superpixels=1)):
        with pytest.raises(ValueError, match='at least 1'):
            ProposalGenerator(**wrong)
    with pytest.raises(ValueError, match='min_share and max_share'):
        ProposalGenerator(min_share=0.5, max_share=0.4)
    with pytest.raises(ValueError, match='pixels must be two'):
        ProposalGenerator(pixels=(9, 3))
    for img in (np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3))):
        with pytest.raises(ValueError, match=r'must be uint8 \(H, W, 3\)'):
            ProposalGenerator()(img)


def random_graph(size=9):
    rng = np.random.default_rng(0)
    matrix = np.triu(rng.integers(0, 5, (size, size)), 1).astype(np.float32)
    length = matrix + matrix.T
    blank = np.zeros((size, 0), dtype=np.float32)
    edge = np.triu(rng.random((size, size)), 1)
    step = length * (edge + edge.T).astype(np.float32)
    return RegionGraph(
        labels=np.zeros((1, 1), np.int64),
        area=rng.integers(20, 50, size).astype(np.float32),
        rim=rng.integers(0, 9, size).astype(np.float32),
        color=blank,
        texture=blank,
        box=blank,
        length=length,
        step=step,
        region=step / 2,
        embedding=blank,
    )


@pytest.fixture
def graph():
    return random_graph()


@pytest.fixture
def sets():
    sets = np.random.default_rng(1).random((40, 9)) > 0.6
    return sets[sets.any(axis=1)]


def test_overlaps(graph, sets) -> None:
    ious = set_ious(graph, sets, sets[:4])
    for i, one in enumerate(sets):
        for j, other in enumerate(sets[:4]):
            common = graph.area[one & other].sum()
            union = graph.area[one | other].sum()
            assert ious[i, j] == pytest.approx(common / union, rel=1e-5)


def test_properties(graph, sets) -> None:
    found = set_properties(graph, sets)
    for index, one in enumerate(sets):
        outline = graph.length[one][:, ~one].sum()
        rim, area = graph.rim[one].sum(), graph.area[one].sum()
        step = graph.step[one][:, ~one].sum()
        expected = dict(
            rim=rim / max(outline + rim, 1),
            step=step / max(outline, 1),
            area=np.log(area / graph.area.sum()),
            roughness=np.log((outline + rim) / np.sqrt(area)),
        )
        for name, value in expected.items():
            assert found[name][index] == pytest.approx(value, abs=1e-4)


def test_prior(graph, sets) -> None:
    prior = object_prior(graph, sets, dict(area=0.5, rim=0.0))
    assert prior.sum() == pytest.approx(1, abs=1e-5)
    area = np.log(sets @ graph.area)
    expected = np.exp(0.5 * (area - area.mean()) / area.std())
    np.testing.assert_allclose(prior, expected / expected.sum(), rtol=1e-4)
    # One candidate, or equal ones, have no spread.
    same = object_prior(graph, sets[[0, 0]], dict(area=1.0))
    np.testing.assert_allclose(same, 0.5)


def test_choice_like_the_definition(graph, sets) -> None:
    prior = object_prior(graph, sets, dict(area=1.0, step=1.0))
    chosen, gains = choose(graph, sets, prior, 12)
    ious = set_ious(graph, sets, sets).astype(np.float64)
    picked, value = [], 0.0
    for index, gain in zip(chosen, gains):
        values = [
            prior @ ious[[*picked, k]].max(axis=0) for k in range(len(sets))
        ]
        # Equal ones may come in another order.
        assert values[index] == pytest.approx(max(values), abs=1e-6)
        assert gain == pytest.approx(values[index] - value, abs=1e-6)
        picked.append(index)
        value = values[index]
    assert len(set(chosen.tolist())) == 12
    assert (np.diff(gains) <= 1e-7).all()


def test_fewer_candidates_than_asked_for(graph, sets) -> None:
    prior = np.full(3, 1 / 3, dtype=np.float32)
    chosen, gains = choose(graph, sets[:3], prior, 10)
    assert sorted(chosen.tolist()) == [0, 1, 2]
    assert gains.sum() == pytest.approx(1, abs=1e-5)


def test_choice_among_equals(graph, sets) -> None:
    """Ties and candidates that add nothing end the search, too."""
    # Every candidate three times: two of each add nothing.
    thrice = np.repeat(sets, 3, axis=0)
    prior = np.full(len(thrice), 1 / len(thrice), dtype=np.float32)
    chosen, gains = choose(graph, thrice, prior, len(thrice))
    assert sorted(chosen.tolist()) == list(range(len(thrice)))
    assert (np.diff(gains) <= 0).all()
    assert (gains[len(sets) :] <= 1e-6).all()
    assert gains.sum() == pytest.approx(1, abs=1e-4)


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
def noise_graph(picture):
    return region_graph(*picture)


def test_sums_of_regions(picture, noise_graph) -> None:
    labels, lab, edges = picture
    assert noise_graph.area.tolist() == [64] * 12
    assert noise_graph.rim[[0, 1, 5]].tolist() == [16, 8, 0]
    assert noise_graph.box[6].tolist() == [16, 8, 24, 16]
    np.testing.assert_allclose(noise_graph.color.sum(axis=1), 64, rtol=1e-5)
    np.testing.assert_allclose(noise_graph.texture.sum(axis=1), 64)
    assert noise_graph.length[0, 1] == noise_graph.length[4, 0] == 8
    assert noise_graph.length[0, 5] == 0
    column = np.maximum(edges.step[:8, 7], edges.step[:8, 8])
    assert noise_graph.step[1, 0] == pytest.approx(column.sum(), rel=1e-5)


def test_embedding_keeps_apart_what_edges_part() -> None:
    img = np.full((32, 64, 3), 60, dtype=np.uint8)
    img[:, 32:] = 190
    lab = to_lab(img)
    labels = np.arange(8).reshape(2, 4).repeat(16, 0).repeat(16, 1)
    noise_graph = region_graph(labels, lab, edge_maps(lab))
    first = noise_graph.embedding[:, 0] / noise_graph.area
    assert np.ptp(first[[0, 1, 4, 5]]) < 0.05 * np.ptp(first)
    assert first[0] * first[3] < 0


def merged_by_definition(noise_graph, criterion):
    """Grow one tree from pairs, all of them measured in every step."""
    sets = {i: [i] for i in range(len(noise_graph.area))}
    total = noise_graph.area.sum()
    merges = []

    def distance(one, other):
        a, b = sets[one], sets[other]

        def mean(name, of):
            values = getattr(noise_graph, name)[of]
            return values.sum(axis=0) / noise_graph.area[of].sum()

        def border(name):
            return getattr(noise_graph, name)[np.ix_(a, b)].sum()

        if not border('length'):
            return np.inf
        boxes = noise_graph.box[a + b]
        sides = boxes[:, 2:].max(axis=0) - boxes[:, :2].min(axis=0)
        parts = [
            abs(mean('color', a) - mean('color', b)).sum() / 2,
            abs(mean('texture', a) - mean('texture', b)).sum() / 2,
            border('step') / border('length'),
            border('region') / border('length'),
            np.linalg.norm(mean('embedding', a) - mean('embedding', b)),
            (sides.prod() - noise_graph.area[a + b].sum()) / total,
        ]
        smaller = (
            min(noise_graph.area[a].sum(), noise_graph.area[b].sum()) / total
        )
        return np.dot(parts, criterion[:6]) * (smaller + 1e-4) ** criterion[6]

    while len(sets) > 1:
        one, other = min(
            itertools.combinations(sorted(sets), 2), key=lambda p: distance(*p)
        )
        merges.append([one, other])
        sets[len(noise_graph.area) + len(merges) - 1] = sets.pop(
            one
        ) + sets.pop(other)
    return merges


def test_trees_like_the_definition(noise_graph) -> None:
    merges = merge_trees(noise_graph, FEW_CRITERIA)
    assert merges.shape == (3, 11, 2)
    for criterion, tree in zip(FEW_CRITERIA, merges):
        expected = merged_by_definition(noise_graph, criterion)
        assert np.sort(tree).tolist() == expected


def test_tree_members() -> None:
    members = tree_members(np.array([[0, 2], [1, 3], [4, 5]]))
    assert members.astype(int).tolist() == [
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 1],
        [1, 0, 1, 0],
        [0, 1, 0, 1],
        [1, 1, 1, 1],
    ]


def test_candidates_are_nodes_and_touching_pairs(noise_graph) -> None:
    merges = merge_trees(noise_graph, FEW_CRITERIA[:1])
    sets = candidate_sets(noise_graph, merges, 0.0, 1.0)
    found = {tuple(row) for row in sets.tolist()}
    assert len(found) == len(sets)
    nodes = tree_members(merges[0])
    assert {tuple(row) for row in nodes.tolist()} <= found
    # With twelve regions every pair of nodes counts as near the top.
    touch = noise_graph.length > 0
    for one, other in itertools.combinations(nodes, 2):
        joined = tuple((one | other).tolist())
        if not (one & other).any():
            touching = touch[np.ix_(one, other)].any()
            assert (joined in found) >= touching
            if not touching:
                assert joined not in found
    few = candidate_sets(noise_graph, merges, 0.1, 0.5)
    shares = few @ noise_graph.area / noise_graph.area.sum()
    assert shares.min() >= 0.1
    assert shares.max() <= 0.5


def test_affinities(noise_graph) -> None:
    assert affinities(noise_graph)[0, 5] == 0
    edge = (noise_graph.step[0, 1] + noise_graph.region[0, 1]) / 16
    assert affinities(noise_graph)[0, 1] == pytest.approx(
        8 * np.exp(-edge / 0.12)
    )
