import numpy as np
import pytest

from mmwsl.saliency.generator import (
    background_contrast,
    background_probability,
    geodesic_distances,
    settled_saliency,
    stretched,
)


def test_geodesic_distances_of_a_chain_with_a_shortcut():
    inf = np.inf
    steps = np.array(
        [
            [inf, 1, inf, 9, inf],
            [1, inf, 2, inf, inf],
            [inf, 2, inf, 4, inf],
            [9, inf, 4, inf, inf],
            [inf, inf, inf, inf, inf],
        ]
    )
    before = steps.copy()
    expected = [
        [0, 1, 3, 7, inf],
        [1, 0, 2, 6, inf],
        [3, 2, 0, 4, inf],
        [7, 6, 4, 0, inf],
        [inf, inf, inf, inf, 0],
    ]
    np.testing.assert_allclose(geodesic_distances(steps), expected)
    np.testing.assert_array_equal(steps, before)


def test_background_probability_of_a_frame_and_its_inside():
    # 36 pixels along the border in a region of 64, and nothing of 16.
    distances = np.array([[0.0, np.inf], [np.inf, 0.0]])
    area, rim = np.array([64, 16]), np.array([36, 0])
    found = background_probability(distances, area, rim, 10.0, spread=3.0)
    # 36 / 8 = 4.5 and 4.5^2 / (2 * 3^2) = 1.125
    np.testing.assert_allclose(found, [1 - np.exp(-1.125), 0])


def test_tied_regions_share_their_border():
    # exp(-d^2 / 2 r^2) = 1 / 2
    close = 5 * np.sqrt(2 * np.log(2))
    distances = np.array([[0, close], [close, 0]])
    area, rim = np.array([8, 16]), np.array([8, 0])
    found = background_probability(distances, area, rim, 5.0)
    connectivity = np.array([8 / np.sqrt(16), 4 / np.sqrt(20)])
    np.testing.assert_allclose(found, 1 - np.exp(-(connectivity**2) / 2))


def test_background_contrast_weighs_by_distance_and_background():
    differences = np.array([[0.0, 4, 8], [4, 0, 2], [8, 2, 0]])
    positions = np.array([[0.5, 0.0], [0.5, 0.3], [0.5, 0.7]])
    weights = np.array([0.5, 0.0, 0.25])
    near = {k: np.exp(-((k / 10) ** 2) / 0.5) for k in (3, 4, 7)}
    raw = np.array([2 * near[7], 2 * near[3] + 0.5 * near[4], 4 * near[7]])
    expected = (raw - raw.min()) / (raw.max() - raw.min())
    found = background_contrast(differences, positions, weights, 0.5)
    np.testing.assert_allclose(found, expected)


def test_settled_saliency_minimises_its_cost():
    rng = np.random.default_rng(0)
    contrast, background = rng.random((2, 6))
    bonds = rng.random((6, 6))
    bonds = bonds + bonds.T
    np.fill_diagonal(bonds, 0)

    def cost(s):
        pairs = (bonds * (s[:, None] - s) ** 2).sum() / 2
        return (background * s**2 + contrast * (s - 1) ** 2).sum() + pairs

    found = settled_saliency(contrast, background, bonds)
    for step in 1e-3 * rng.standard_normal((20, 6)):
        assert cost(found + step) > cost(found)


def test_regions_that_nothing_pulls_are_not_salient():
    zeros = np.zeros(3)
    found = settled_saliency(zeros, zeros, np.zeros((3, 3)))
    np.testing.assert_array_equal(found, zeros)


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        ([2.0, 4.0, 3.0], [0, 1, 0.5]),
        ([0.1 + 0.2, 0.3], [0, 0]),
        ([7.0], [0]),
    ],
)
def test_stretched(values, expected):
    np.testing.assert_allclose(stretched(np.array(values)), expected)
