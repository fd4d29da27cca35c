import numpy as np
import pytest

from mmwsl.evaluation.functional.boxes import THRESHOLDS
from mmwsl.evaluation.functional.pixel_pr import (
    pixel_histograms,
    pixel_scores,
    saliency_scores,
)


def slow_scores(score_maps, masks, thresholds):
    """Threshold the pixels of all images again and again."""
    scores = np.concatenate([x.ravel() for x in score_maps])
    kinds = np.concatenate([x.ravel() for x in masks])
    scores, object_pixel = scores[kinds != 255], kinds[kinds != 255] == 1
    area, last, ious = 0.0, 0.0, []
    for threshold in [1.0, *thresholds[::-1]]:
        predicted = scores >= threshold
        hits = (predicted & object_pixel).sum()
        recall = hits / object_pixel.sum()
        if predicted.any():
            area += hits / predicted.sum() * (recall - last)
        last = recall
        ious.append(hits / (predicted | object_pixel).sum())
    return area, ious[:0:-1]


def test_known_answer():
    score_map = np.array([[0.9, 0.6], [0.6, 0.2]])
    mask = np.array([[1, 0], [1, 0]])
    counts = pixel_histograms(score_map, mask, [0, 0.5, 0.8])
    assert counts.tolist() == [[0, 1, 1, 0, 0], [0, 0, 1, 1, 0]]
    scores = pixel_scores(counts)
    assert scores['precision'] == pytest.approx([1 / 2, 2 / 3, 1])
    assert scores['recall'].tolist() == [1, 1, 0.5]
    assert scores['iou'] == pytest.approx([1 / 2, 2 / 3, 1 / 2])
    assert scores['PxAP'] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_scores_of_one_are_a_step_of_their_own():
    score_map = np.array([[1.0, 1.0, 0.5]])
    counts = pixel_histograms(score_map, np.array([[1, 0, 1]]), [0, 0.9])
    assert counts.tolist() == [[0, 0, 0, 1], [0, 1, 0, 1]]
    # At 1 half of the predicted pixels and of the object.
    expected = 0.5 * 0.5 + 0.5 * 2 / 3
    assert pixel_scores(counts)['PxAP'] == pytest.approx(expected)


def test_ignored_pixels_change_nothing():
    rng = np.random.default_rng(0)
    score_map, mask = rng.random((6, 7)), rng.integers(0, 2, (6, 7))
    expected = pixel_histograms(score_map, mask, THRESHOLDS)
    wide = np.pad(score_map, 2, constant_values=0.9)
    ignored = np.pad(mask, 2, constant_values=255)
    assert np.array_equal(
        pixel_histograms(wide, ignored, THRESHOLDS), expected
    )


def test_equals_thresholding_a_thousand_times():
    rng = np.random.default_rng(0)
    kinds = [
        rng.random((8, 9)).astype(np.float32),
        # Plateaus that lie on thresholds.
        rng.integers(0, 11, (5, 5)) / 10,
        np.full((4, 4), 0.3),
        np.zeros((3, 3)),
    ]
    masks = [
        rng.choice([0, 1, 255], m.shape, p=[0.6, 0.3, 0.1]) for m in kinds
    ]
    counts = sum(
        pixel_histograms(m, mask, THRESHOLDS) for m, mask in zip(kinds, masks)
    )
    scores = pixel_scores(counts)
    area, ious = slow_scores(kinds, masks, THRESHOLDS)
    assert scores['PxAP'] == pytest.approx(area, abs=1e-12)
    assert scores['iou'] == pytest.approx(np.array(ious), abs=1e-12)


def test_several_images_at_once():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 9, (3, 2, 6))
    together = pixel_scores(counts)
    for index, own in enumerate(counts):
        for key, value in pixel_scores(own).items():
            assert np.array_equal(together[key][index], value)


def test_no_object_and_no_prediction():
    counts = pixel_histograms(np.zeros((2, 2)), np.zeros((2, 2)), [0.5])
    scores = pixel_scores(counts)
    assert np.isnan(scores['PxAP'])
    assert np.isnan(scores['iou']).all()


@pytest.mark.parametrize(
    ('score_map', 'mask', 'thresholds', 'message'),
    [
        (np.full((2, 2), 2.0), np.zeros((2, 2)), [0.5], r'in \[0, 1\]'),
        (np.full((2, 2), np.nan), np.zeros((2, 2)), [0.5], 'NaN'),
        (np.ones((2, 2)), np.zeros((2, 3)), [0.5], 'differ in size'),
        (np.ones((2, 2)), np.full((2, 2), 2), [0.5], 'other than 0, 1'),
        (np.ones((2, 2)), np.zeros((2, 2)), [0.5, 0.4], 'must ascend'),
        (np.ones((2, 2)), np.zeros((2, 2)), [0.5, 1.1], 'must ascend'),
    ],
)
def test_bad_input(score_map, mask, thresholds, message):
    with pytest.raises(ValueError, match=message):
        pixel_histograms(score_map, mask, thresholds)


LEVELS = (0.0, 0.5, 0.9)


def saliency(*pairs):
    histograms = [
        pixel_histograms(np.array([s]), np.array([m]), LEVELS)
        for s, m in pairs
    ]
    return saliency_scores(np.stack(histograms), LEVELS)


def f_measure(precision, recall):
    return 1.3 * precision * recall / (0.3 * precision + recall)


def test_saliency_known_answer():
    found = saliency(
        ([0.95, 0.6, 0.6, 0.1], [1, 1, 0, 0]),
        ([0.2, 0.7, 0.0, 0.6], [0, 1, 255, 1]),
    )
    # At 0: 2/4, 2/3 and recall 1. At 0.5: 2/3, 1 and recall 1. At 0.9: 1, 0
    # (nothing reaches it), and recall 1/2, 0.
    expected = [
        f_measure(7 / 12, 1.0),
        f_measure(5 / 6, 1.0),
        f_measure(1 / 2, 1 / 4),
    ]
    assert found['maxF'] == pytest.approx(max(expected))
    assert found['F_threshold'] == 0.5
    # 4 of 5 pixels above 0.5 are right, none is missed.
    assert found['IoU'] == pytest.approx(4 / 5)
    assert found['IoU_threshold'] == 0.5


def test_the_means_of_images_differ_from_all_pixels():
    big = ([0.6] * 9 + [0.1], [1] * 9 + [0])
    small = ([0.6, 0.6, 0.6, 0.6], [1, 0, 0, 0])
    found = saliency(big, small)
    assert found['maxF'] == pytest.approx(f_measure((1 + 1 / 4) / 2, 1.0))
    assert found['IoU'] == pytest.approx(10 / 13)


def test_images_of_nothing_count_in_the_iou_alone():
    one = ([0.6, 0.1], [1, 0])
    with_nothing = saliency(one, ([0.6, 0.1], [0, 0]))
    assert with_nothing['maxF'] == saliency(one)['maxF'] == pytest.approx(1)
    assert with_nothing['IoU'] == pytest.approx(1 / 2)
    assert all(np.isnan(x) for x in saliency(([0.6], [0])).values())


def test_saliency_of_nothing():
    found = saliency(([0.0, 0.0], [1, 0]))
    assert found['maxF'] == pytest.approx(f_measure(0.5, 1.0))
    assert found['F_threshold'] == 0
