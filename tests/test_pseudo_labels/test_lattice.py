"""Tests of Gaussian filtering on a lattice."""

import numpy as np
import pytest
import torch

from mmwsl.pseudo_labels import lattice as module
from mmwsl.pseudo_labels.lattice import GaussianLattice, _lattice_steps


def brute_force(points, values):
    apart = points[:, None] - points[None]
    return np.exp(-(apart**2).sum(-1) / 2) @ values


def relative_error(points, fineness):
    """Error of a normalised filter, root mean square."""
    values = np.random.default_rng(1).random((len(points), 3))
    want = brute_force(points, values) / brute_force(
        points, np.ones((len(points), 1))
    )
    lattice = GaussianLattice(points, fineness)
    got = lattice(torch.from_numpy(values).float())
    got = got / lattice(torch.ones(len(points), 1))
    return float(np.sqrt(np.mean((got.numpy() - want) ** 2)))


@pytest.mark.parametrize('dims', [1, 2, 3, 5])
def test_finer_lattices_come_closer(dims):
    points = np.random.default_rng(dims).normal(size=(300, dims)) * 1.5
    errors = [relative_error(points, fineness) for fineness in (0.7, 1, 1.4)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[1] < 0.015
    assert errors[2] < 0.01


def test_is_symmetric():
    points = np.random.default_rng(0).normal(size=(80, 5))
    matrix = GaussianLattice(points)(torch.eye(80))
    torch.testing.assert_close(matrix, matrix.T)
    assert (matrix >= 0).all()


def test_equal_points_share_everything():
    points = np.zeros((3, 5))
    out = GaussianLattice(points)(torch.tensor([[1.0], [2.0], [6.0]]))
    assert out[0] == out[1] == out[2] > 0


def test_far_points_do_not_meet():
    points = np.array([[0.0] * 5, [40.0] * 5])
    out = GaussianLattice(points)(torch.tensor([[1.0], [0.0]]))
    assert out[1].item() == 0 < out[0].item()


@pytest.mark.parametrize('slots', [0.05, 1, 16])
def test_every_neighbour_is_found(monkeypatch, slots):
    """In crowded tables as well, where nodes share a slot."""
    monkeypatch.setattr(module, '_SLOTS_PER_NODE', slots)
    monkeypatch.setattr(module, '_BLOCK', 70)
    rng = np.random.default_rng(0)
    nodes = rng.integers(0, 10**12, 100)
    nodes = np.unique(np.concatenate([nodes, nodes + 7, nodes + 10**9]))
    steps = np.array([0, 7, -7, 10**9, -(10**9), 10**9 - 7, 5])
    values = np.arange(7, dtype=np.float32) + 1
    rows = module._matrix_rows(nodes, steps, values)
    matrix = np.zeros((len(nodes), len(nodes)), np.float32)
    first = entries = 0
    for columns, kernel, starts in rows:
        ends = [*starts[1:].tolist(), len(columns)]
        for row, (start, end) in enumerate(zip(starts.tolist(), ends)):
            matrix[first + row, columns[start:end]] += kernel[
                start:end
            ].numpy()
        first += len(starts)
        entries += len(columns)
    assert first == len(nodes)
    apart = nodes[None] - nodes[:, None]
    want = sum(v * (apart == s) for s, v in zip(steps, values))
    np.testing.assert_array_equal(matrix, want)
    assert entries == (want > 0).sum() > len(nodes)


def test_lattice_steps_by_hand():
    """In the plane: the six neighbours and the six after them."""
    steps, lengths = _lattice_steps(3, 18)
    assert sorted(lengths.tolist()) == [0, *[6] * 6, *[18] * 6]
    near = sorted(map(tuple, steps[lengths == 6].tolist()))
    half = [(1, -2), (1, 1), (2, -1)]
    assert near == sorted([*half, *((-x, -y) for x, y in half)])


def test_points_too_far_apart():
    points = np.array([[0.0] * 5, [1e7] * 5])
    with pytest.raises(ValueError, match='too small'):
        GaussianLattice(points)
