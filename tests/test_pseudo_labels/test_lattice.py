"""Tests of Gaussian filtering on a lattice."""

import numpy as np
import pytest
import torch

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


def test_crowded_hash_table_finds_every_pair(monkeypatch):
    """Nodes whose slot is taken are found as well."""
    points = np.random.default_rng(0).normal(size=(200, 3))
    values = torch.rand(200, 2)
    want = GaussianLattice(points)(values)
    monkeypatch.setattr('mmwsl.pseudo_labels.lattice._TABLE_SIZES', (31,))
    torch.testing.assert_close(GaussianLattice(points)(values), want)


def test_lattice_steps_by_hand():
    """In the plane: the six neighbours and the six after them."""
    steps, lengths = _lattice_steps(3, 18)
    assert lengths.tolist() == [0, 6, 6, 6, 18, 18, 18]
    assert sorted(map(tuple, steps[1:4].tolist())) == [
        (1, -2),
        (1, 1),
        (2, -1),
    ]


def test_points_too_far_apart():
    points = np.array([[0.0] * 5, [1e7] * 5])
    with pytest.raises(ValueError, match='too small'):
        GaussianLattice(points)
