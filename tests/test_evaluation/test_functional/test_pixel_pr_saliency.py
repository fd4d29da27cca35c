import numpy as np
import pytest

from mmwsl.evaluation.functional.pixel_pr import (
    pixel_histograms,
    saliency_scores,
)

THRESHOLDS = (0.0, 0.5, 0.9)


def scores(*pairs):
    histograms = [
        pixel_histograms(np.array([s]), np.array([m]), THRESHOLDS)
        for s, m in pairs
    ]
    return saliency_scores(np.stack(histograms), THRESHOLDS)


def f_measure(precision, recall):
    return 1.3 * precision * recall / (0.3 * precision + recall)


def test_known_answer():
    found = scores(
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
    found = scores(big, small)
    assert found['maxF'] == pytest.approx(f_measure((1 + 1 / 4) / 2, 1.0))
    assert found['IoU'] == pytest.approx(10 / 13)


def test_images_of_nothing_count_in_the_iou_alone():
    one = ([0.6, 0.1], [1, 0])
    with_nothing = scores(one, ([0.6, 0.1], [0, 0]))
    assert with_nothing['maxF'] == scores(one)['maxF'] == pytest.approx(1)
    assert with_nothing['IoU'] == pytest.approx(1 / 2)
    assert all(np.isnan(x) for x in scores(([0.6], [0])).values())


def test_maps_of_nothing():
    found = scores(([0.0, 0.0], [1, 0]))
    assert found['maxF'] == pytest.approx(f_measure(0.5, 1.0))
    assert found['F_threshold'] == 0
