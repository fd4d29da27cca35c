import random

import numpy as np
import pytest

from mmwsl.datasets.transforms import (
    ColorJitter,
    RandomCrop,
    RandomResizedCrop,
)
from mmwsl.datasets.transforms.augment import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
)


@pytest.fixture(autouse=True)
def _seeded():
    random.seed(0)


def pixel(*bgr):
    return np.array([[bgr]], dtype=np.uint8)


def test_brightness():
    img = pixel(10, 100, 200)
    assert adjust_brightness(img, 1.5).tolist() == [[[15, 150, 255]]]
    assert adjust_brightness(img, 0).max() == 0
    assert np.array_equal(adjust_brightness(img, 1.0), img)


def test_contrast_is_around_the_mean_grey():
    img = np.array([[[40] * 3, [80] * 3]], dtype=np.uint8)
    assert adjust_contrast(img, 2.0)[0, :, 0].tolist() == [20, 100]
    assert adjust_contrast(img, 0.0)[0, :, 0].tolist() == [60, 60]
    # The mean weighs green most: 0.587 of it.
    green = np.zeros((1, 2, 3), dtype=np.uint8)
    green[..., 1] = 100
    assert adjust_contrast(green, 0.0)[0, 0].tolist() == [59, 59, 59]


def test_hue():
    red = pixel(0, 0, 200)
    assert np.abs(adjust_hue(red, 1 / 3)[0, 0] - [0, 200, 0.0]).max() < 8
    assert np.abs(adjust_hue(red, -1 / 3)[0, 0] - [200, 0, 0.0]).max() < 8
    assert np.abs(adjust_hue(red, 0.5)[0, 0] - [200, 200, 0.0]).max() < 8
    grey = pixel(70, 70, 70)
    assert np.array_equal(adjust_hue(grey, 0.4), grey)


def test_jitter_without_strength_changes_nothing():
    img = np.random.RandomState(0).randint(0, 256, (5, 6, 3), dtype=np.uint8)
    assert ColorJitter()(dict(img=img))['img'] is img


def test_jitter_draws_in_its_range():
    jitter = ColorJitter(brightness=0.5)
    img = pixel(100, 100, 100)
    values = [int(jitter(dict(img=img))['img'][0, 0, 0]) for _ in range(300)]
    assert 50 <= min(values) < 60
    assert 140 < max(values) <= 150
    assert img[0, 0, 0] == 100
    fixed = ColorJitter(brightness=(2.0, 2.0))
    assert fixed(dict(img=img))['img'][0, 0, 0] == 200


def test_jitter_shuffles_its_steps():
    img = np.array([[[40] * 3, [80] * 3]], dtype=np.uint8)
    jitter = ColorJitter(brightness=(4.0, 4.0), contrast=(0.5, 0.5))
    found = {tuple(jitter(dict(img=img))['img'][0, :, 0]) for _ in range(50)}
    # Brighter first: 160, 255 around 207.5; contrast first: 50, 70 times 4.
    assert found == {(184, 231), (200, 255)}


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(brightness=-1), 'brightness'),
        (dict(contrast=(-0.5, 1)), 'contrast'),
        (dict(saturation=(2, 1)), 'saturation'),
        (dict(hue=0.6), 'hue'),
    ],
)
def test_jitter_refuses(kwargs, message):
    with pytest.raises(ValueError, match=message):
        ColorJitter(**kwargs)
    assert ColorJitter(brightness=1.5).brightness == (0, 2.5)


def grid(height, width):
    """An image whose pixels hold their row and column."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, rows * 0], axis=2).astype(np.uint8)


def test_crop_of_the_whole_image_is_a_resize():
    crop = RandomResizedCrop(8, (1.0, 1.0), (1.0, 1.0))
    results = crop(dict(img=grid(8, 8)))
    assert np.array_equal(results['img'], grid(8, 8))
    assert results['img_shape'] == (8, 8)
    assert RandomResizedCrop((6, 4))(dict(img=grid(8, 8)))['img'].shape == (
        4,
        6,
        3,
    )


def test_crop_draws_area_and_aspect_in_their_ranges():
    crop = RandomResizedCrop(8, (0.25, 0.5), (0.5, 2.0))
    boxes = np.array([crop._draw(100, 120) for _ in range(500)])
    top, left, height, width = boxes.T
    area, aspect = height * width / 12000, width / height
    assert 0.24 < area.min() < 0.27
    assert 0.48 < area.max() < 0.51
    assert area.mean() == pytest.approx(0.375, abs=0.02)
    assert 0.48 < aspect.min() < 0.55
    assert 1.8 < aspect.max() < 2.1
    # The logarithm is uniform, so as many parts are high as are wide.
    assert np.log(aspect).mean() == pytest.approx(0, abs=0.06)
    assert top.min() == 0
    assert (top + height).max() == 100
    assert left.min() == 0
    assert (left + width).max() == 120


def test_crop_that_cannot_fit_is_central():
    wide = RandomResizedCrop(8, (0.9, 1.0))._draw(10, 100)
    # 10 rows allow 13 columns at most: 4 / 3.
    assert wide == (0, 43, 10, 13)
    high = RandomResizedCrop(8, (0.9, 1.0))._draw(100, 10)
    assert high == (43, 0, 13, 10)


@pytest.mark.parametrize(
    ('kwargs', 'name'),
    [
        (dict(crop_ratio_range=(0.5, 0.2)), 'crop_ratio_range'),
        (dict(crop_ratio_range=(0.0, 0.2)), 'crop_ratio_range'),
        (dict(aspect_ratio_range=(2, 1)), 'aspect_ratio_range'),
    ],
)
def test_crop_refuses(kwargs, name):
    with pytest.raises(ValueError, match=f'RandomResizedCrop: {name} must'):
        RandomResizedCrop(8, **kwargs)


def test_parts_of_fixed_size():
    img = np.arange(6 * 8 * 3).reshape(6, 8, 3)
    seen = set()
    for _ in range(100):
        results = RandomCrop((7, 5))(dict(img=img))
        part = results['img']
        assert part.shape == (5, 7, 3)
        assert results['img_shape'] == (5, 7)
        row, column = divmod(int(part[0, 0, 0]) // 3, 8)
        assert np.array_equal(part, img[row : row + 5, column : column + 7])
        seen.add((row, column))
    assert seen == {(0, 0), (0, 1), (1, 0), (1, 1)}
    img = np.ones((4, 4, 3))
    assert np.array_equal(RandomCrop(4)(dict(img=img))['img'], img)
    with pytest.raises(
        ValueError, match=r'image is 4 x 5 .* for a part of 4 x 6'
    ):
        RandomCrop((4, 6))(dict(img=np.ones((5, 4, 3))))


def test_repr():
    assert repr(RandomCrop(224)) == 'RandomCrop(size=(224, 224))'
