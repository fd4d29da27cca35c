import cv2
import numpy as np
import pytest

from mmwsl.saliency import SaliencyGenerator
from mmwsl.saliency.generator import (
    background_contrast,
    background_probability,
    geodesic_distances,
    settled_saliency,
    stretched,
)


@pytest.fixture(scope='module')
def generator():
    return SaliencyGenerator(num_superpixels=100)


def disc(center, radius, shape=(120, 160)):
    """A picture of a disc and its mask."""
    mask = np.zeros(shape, np.uint8)
    cv2.circle(mask, center, radius, 1, -1)
    img = np.where(mask[..., None], (40, 200, 240), (90, 90, 90))
    return img.astype(np.uint8), mask > 0


@pytest.mark.parametrize('center', [(80, 60), (50, 45), (110, 80)])
def test_a_bright_disc_is_salient(generator, center):
    img, mask = disc(center, 22)
    saliency = generator(img)
    assert saliency.shape == (120, 160)
    assert saliency.dtype == np.float32
    assert saliency[mask].mean() > 0.9
    assert saliency[~mask].mean() < 0.05
    found = saliency > 0.5
    assert (found & mask).sum() > 0.9 * (found | mask).sum()


def test_a_disc_that_the_border_cuts_off_is_still_salient(generator):
    img, mask = disc((80, 110), 40)
    saliency = generator(img)
    assert saliency[mask].mean() > saliency[~mask].mean() + 0.4


def test_a_frame_is_background(generator):
    # The brighter of the two, too.
    img = np.full((80, 80, 3), 200, np.uint8)
    img[20:60, 20:60] = 40
    saliency = generator(img)
    assert saliency[25:55, 25:55].min() > 0.7
    assert saliency[:15].max() < 0.2


@pytest.mark.parametrize('shape', [(1, 1), (2, 3), (1, 300), (60, 40)])
def test_one_colour_has_nothing_salient(generator, shape):
    saliency = generator(np.full((*shape, 3), 77, np.uint8))
    assert saliency.shape == shape
    assert not saliency.any()


def test_noise_stays_in_range_and_is_reproduced(generator):
    rng = np.random.default_rng(0)
    img = rng.integers(0, 256, (31, 22, 3), dtype=np.uint8)
    saliency = generator(img)
    assert saliency.min() >= 0
    assert saliency.max() <= 1
    assert saliency.max() > 0.5
    np.testing.assert_array_equal(generator(img), saliency)


def test_large_images_are_shrunk(generator):
    small = SaliencyGenerator(100, pixels=(1000, 5000))
    img, mask = disc((80, 60), 22)
    saliency = small(img)
    assert saliency.shape == mask.shape
    assert saliency[mask].mean() > 0.8
    assert saliency[~mask].mean() < 0.1
    assert not np.array_equal(saliency, generator(img))


def test_settings_name_all_that_matters():
    one = SaliencyGenerator().settings
    for change in (
        dict(num_superpixels=20),
        dict(pixels=(10, 20)),
        dict(color_reach=1.0),
        dict(bond_reach=1.0),
        dict(background_weight=9.0),
        dict(center_reach=2.0),
    ):
        assert SaliencyGenerator(**change).settings != one


@pytest.mark.parametrize(
    ('settings', 'words'),
    [
        (dict(num_superpixels=1), 'num_superpixels must be at least 2'),
        (dict(pixels=(20, 10)), 'two ascending positive'),
        (dict(color_reach=0), 'color_reach must be positive, got 0'),
    ],
)
def test_bad_settings(settings, words):
    with pytest.raises(ValueError, match=words):
        SaliencyGenerator(**settings)


@pytest.mark.parametrize(
    'img', [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)]
)
def test_bad_images(generator, img):
    with pytest.raises(ValueError, match='must be uint8'):
        generator(img)


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
