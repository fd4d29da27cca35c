"""Tests of the choice among candidates."""

import numpy as np
import pytest

from mmwsl.proposals.region_graph import RegionGraph
from mmwsl.proposals.selection import (
    choose,
    object_prior,
    set_ious,
    set_properties,
)


def random_graph(size=9):
    rng = np.random.default_rng(0)
    matrix = np.triu(rng.integers(0, 5, (size, size)), 1).astype(np.float32)
    length = matrix + matrix.T
    blank = np.zeros((size, 0), dtype=np.float32)
    edge = np.triu(rng.random((size, size)), 1)
    step = length * (edge + edge.T).astype(np.float32)
    return RegionGraph(
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
