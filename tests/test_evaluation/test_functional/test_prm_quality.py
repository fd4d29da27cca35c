import numpy as np
import pytest

from mmwsl.evaluation.functional import (
    assign_maps,
    binned_means,
    map_quality,
    mean_by_object,
)

MAPS = np.array([[[1, 2, 0, 1]], [[0, 0, 0, 0]]], float)
MASKS = np.array([[[1, 1, 0, 0]], [[0, 0, 1, 1]]], bool)


def test_quality_known_answer():
    quality = map_quality(MAPS, MASKS)
    assert quality[0].tolist() == [0.75, 0.25]
    assert np.isnan(quality[1]).all()
    valid = np.array([[True, False, True, True]])
    assert map_quality(MAPS, MASKS, valid)[0].tolist() == [0.5, 0.5]
    assert map_quality(MAPS[:0], MASKS).shape == (0, 2)
    assert map_quality(MAPS, MASKS[:0]).shape == (2, 0)


def test_assignment_by_peak_and_by_best():
    quality = np.array([[0.75, 0.25]] * 4)
    points = np.array([[3.9, 0.5], [0.0, 0.0], [4.0, 1.0], [0.5, 0.5]])
    labels = np.array([5, 5, 5, 7])
    gt_labels = np.array([5, 5])
    arguments = (quality, labels, points, MASKS, gt_labels)
    # A point on the edge of the image is in the last pixel.
    assert assign_maps(*arguments).tolist() == [1, 0, 1, -1]
    assert assign_maps(*arguments, 'best').tolist() == [0, 0, 0, -1]
    # In no object of its class.
    outside = assign_maps(
        quality[:1], labels[:1], points[:1], MASKS[:1], gt_labels[:1]
    )
    assert outside.tolist() == [-1]
    none = assign_maps(
        quality[:, :0], labels, points, MASKS[:0], gt_labels[:0]
    )
    assert none.tolist() == [-1] * 4


def test_bins():
    values, keys = np.array([1, 2, 3, 4.0]), np.array([0.5, 1, 1.5, 9])
    bins = binned_means(values, keys, (1, 2, 3))
    assert [x for x, _ in bins] == [1, 2, 0, 1]
    assert [x for _, x in bins][:2] == [1, 2.5]
    assert np.isnan(bins[2][1])
    means = mean_by_object(np.array([4, 1, 4]), np.array([1, 2, 3.0]))
    assert means == {1: 2, 4: 2}


@pytest.mark.parametrize(
    ('maps', 'message'),
    [
        (MAPS - 1, 'negative'),
        (MAPS * np.nan, 'NaN'),
        (MAPS[..., :3], 'differ in size'),
    ],
)
def test_bad_maps(maps, message):
    with pytest.raises(ValueError, match=message):
        map_quality(maps, MASKS)
