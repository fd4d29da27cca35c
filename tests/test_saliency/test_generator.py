import cv2
import numpy as np
import pytest

from mmwsl.saliency import SaliencyGenerator


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
