import cv2
import numpy as np
import pytest

from mmwsl.models.task_modules.peak_growth import main_part
from mmwsl.registry import TASK_UTILS
from mmwsl.utils.arrays import mask_iou

SIZE = (60, 80)


def spot(*points, size=SIZE):
    """A response map with its mass on a few pixels x, y."""
    prm = np.zeros(size, np.float32)
    for x, y in points:
        prm[y, x] = 1 / len(points)
    return prm


def build(**kwargs):
    return TASK_UTILS.build(dict(type='PeakGrowth', **kwargs))


def flat_maps(value=2.0):
    return np.full((3, 6, 8), value, np.float32)


def test_a_spot_grows_to_a_disc():
    # A Gaussian is above 0.2 of its maximum within sigma sqrt(2 ln 5).
    grow = build(spread=0.08, threshold=0.2)
    found = grow(spot((40, 30))[None], np.array([1]), flat_maps())
    sigma = 0.08 * np.sqrt(60 * 80)
    radius = sigma * np.sqrt(2 * np.log(5))
    y, x = np.ogrid[:60, :80]
    disc = np.hypot(y - 30, x - 40) <= radius
    assert mask_iou(found['masks'], disc[None])[0, 0] > 0.97
    assert found['labels'].tolist() == [1]
    assert found['peak_index'].tolist() == [0]
    # All of the response is inside: the score is the sigmoid of 2.
    assert found['scores'][0] == pytest.approx(1 / (1 + np.exp(-2)))


def test_the_class_map_bounds_the_mask_if_trusted():
    maps = flat_maps(-1)
    maps[1, :, :4] = 3
    grow = build(spread=0.2, trust=1.0, threshold=0.5)
    found = grow(spot((20, 30))[None], np.array([1]), maps)
    columns = found['masks'][0].any(axis=0)
    # Half of 3, between the cells of 3 and -1.
    image = cv2.resize(maps[1], (80, 60))
    np.testing.assert_array_equal(columns, image[0] > 1.5)
    # Without trust the mask crosses the bound of the map.
    free = build(spread=0.2, trust=0.0, threshold=0.2)(
        spot((30, 30))[None], np.array([1]), maps
    )
    assert free['masks'][0].any(axis=0)[45]


def test_neighbours_of_a_class_share_the_ground():
    prms = np.stack([spot((30, 30)), spot((50, 30))])
    found = build(spread=0.15)(prms, np.array([0, 0]), flat_maps())
    assert len(found['scores']) == 2
    left, right = found['masks'][np.argsort(found['peak_index'])]
    assert not (left & right).any()
    # The border is in the middle.
    assert left[30, 39]
    assert right[30, 41]
    # A peak of another class does not take any ground.
    alone = build(spread=0.15, nms_threshold=1.0)(
        prms, np.array([0, 1]), flat_maps()
    )
    assert (alone['masks'].sum((1, 2)) > left.sum()).all()


def test_overlapping_peaks_are_merged():
    prms = np.stack([spot((30, 30)), spot((32, 30)), spot((60, 30))])
    maps = flat_maps()
    maps[2] = 5
    found = build(spread=0.1)(prms, np.array([0, 2, 0]), maps)
    # Class 2 is surer, so it survives, with the response of the first.
    assert found['labels'].tolist() == [2, 0]
    assert found['peak_index'].tolist() == [1, 2]
    assert (np.diff(found['scores']) <= 0).all()
    np.testing.assert_allclose(found['prms'][0], (prms[0] + prms[1]) / 2)
    np.testing.assert_allclose(found['prms'].sum((1, 2)), 1, rtol=1e-6)


def test_peaks_with_the_same_response():
    prms = np.stack([spot((30, 30))] * 2)
    found = build()(prms, np.array([0, 0]), flat_maps())
    # The ground goes to the first, nothing is left for the second.
    first = found['peak_index'].tolist().index(0)
    assert found['masks'][first].any()
    assert found['masks'].sum() == found['masks'][first].sum()
    assert np.isfinite(found['scores']).all()


def test_only_the_part_with_most_response_is_kept():
    prm = spot((10, 10), (10, 11), (70, 50))
    found = build(spread=0.03, threshold=0.1)(
        prm[None], np.array([0]), flat_maps()
    )
    assert found['masks'][0, 10, 10]
    assert not found['masks'][0, 50, 70]
    # One of three spots is outside of the mask.
    expected = 2 / 3 / (1 + np.exp(-2))
    assert found['scores'][0] == pytest.approx(expected)


@pytest.mark.parametrize('trust', [0.0, 0.5, 1.0])
@pytest.mark.parametrize('value', [-2.0, 0.0])
def test_class_maps_without_positive_values(trust, value):
    grow = build(trust=trust)
    found = grow(spot((9, 9))[None], np.array([0]), flat_maps(value))
    assert found['masks'].any() == (trust == 0)
    assert np.isfinite(found['scores']).all()


def test_empty_maps_and_single_pixels():
    found = build()(np.zeros((1, 5, 6)), np.array([0]), flat_maps())
    assert not found['masks'].any()
    assert np.isfinite(found['prms']).all()
    one = build()(np.ones((1, 1, 1)), np.array([2]), flat_maps())
    assert one['masks'].tolist() == [[[True]]]


def test_no_peaks():
    found = build()(np.zeros((0, *SIZE)), np.zeros(0, int), flat_maps())
    assert found['masks'].shape == found['prms'].shape == (0, *SIZE)
    assert found['masks'].dtype == bool
    for key in ('scores', 'labels', 'peak_index'):
        assert found[key].shape == (0,)


def test_main_part():
    mask = np.array([[1, 1, 0, 1, 0, 1]], bool)
    weights = np.array([[1, 1, 9, 3, 0, 0]], float)
    assert main_part(mask, weights).tolist() == [[0, 0, 0, 1, 0, 0]]
    assert main_part(mask[:, :3], weights[:, :3]).tolist() == [[1, 1, 0]]
    assert not main_part(mask & False, weights).any()


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'spread': 0}, 'spread must be > 0'),
        ({'trust': 1.5}, 'trust must be from 0 to 1'),
        ({'threshold': -0.1}, 'threshold must be from 0 to 1'),
    ],
)
def test_rejects_settings(kwargs, message):
    with pytest.raises(ValueError, match=message):
        build(**kwargs)
