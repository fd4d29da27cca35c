import numpy as np
import pytest

from mmwsl.evaluation.functional.threshold_search import (
    PeakValues,
    best_score_threshold,
    fit_peak_thresholds,
    value_candidates,
)

# Two high peaks of two objects beside a low one, and one of one.
MAPS = [
    PeakValues(np.array([8.0, 7.0, 3.0]), 2),
    PeakValues(np.array([4.0, 1.0]), 1),
]


def f1_by_loop(scores, present, ignore, threshold):
    pairs = [
        (int(s >= threshold), int(p))
        for s, p, i in zip(scores.flat, present.flat, ignore.flat)
        if not i
    ]
    hits = sum(a and b for a, b in pairs)
    return 2 * hits / sum(a + b for a, b in pairs)


def test_score_threshold_known_answer():
    scores = np.array([[0.9, 0.2], [0.6, 0.4]])
    present = np.array([[True, False], [True, False]])
    none = np.zeros((2, 2), bool)
    threshold, f1 = best_score_threshold(scores, present, none)
    assert threshold == pytest.approx(0.5)
    assert f1 == 1
    # Every pair must be predicted: half of the lowest score.
    threshold, _ = best_score_threshold(scores, none | True, none)
    assert threshold == pytest.approx(0.1)
    with pytest.raises(ValueError, match='no image shows'):
        best_score_threshold(scores, none, none)


@pytest.mark.parametrize('seed', range(3))
def test_score_threshold_is_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    # Rounded, so that some are equal.
    scores = rng.random((6, 3)).round(1)
    present, ignore = rng.random((2, 6, 3)) < 0.4
    threshold, f1 = best_score_threshold(scores, present, ignore)
    assert f1_by_loop(scores, present, ignore, threshold) == pytest.approx(f1)
    for other in np.linspace(0.01, 1, 100):
        assert f1_by_loop(scores, present, ignore, other) <= f1 + 1e-9


def test_peak_thresholds_known_answer():
    ratios = (0.0, 0.2, 0.5, 0.9)
    # No absolute one fits both maps; half of the maximum does.
    relative = fit_peak_thresholds(MAPS, [None], ratios)
    assert relative == (None, 0.5, None, 0)
    absolute = fit_peak_thresholds(MAPS, [None, 2, 3.5, 5], [0.0])
    assert absolute == (3.5, 0, None, 0)
    nothing = fit_peak_thresholds(MAPS, [None], [0.0])
    assert nothing.error == pytest.approx((1 / 3 + 1 / 2) / 2)
    high = fit_peak_thresholds(MAPS, [5], [0.0])
    assert high.error == pytest.approx((0 + 1 / 2) / 2)
    # A value equal to the threshold passes.
    assert fit_peak_thresholds(MAPS, [4], [0.0]).error == 0


def test_largest_number_of_peaks():
    maps = [
        PeakValues(np.array([9.0, 8.0, 7.0]), 2),
        PeakValues(np.ones(1), 1),
    ]
    best = fit_peak_thresholds(maps, [None], [0.0], [None, 1, 2, 3])
    assert best == (None, 0, 2, 0)
    one = fit_peak_thresholds(maps, [None], [0.0], [1])
    assert one.error == pytest.approx((1 / 3) / 2)


def test_first_of_equal_thresholds():
    best = fit_peak_thresholds(MAPS, [None, 3.5], (0.0, 0.5, 0.6))
    assert best == (3.5, 0.0, None, 0)


def test_candidates_lie_between_the_peaks():
    assert value_candidates(MAPS) == [None, 2, 3.5, 5.5, 7.5]
    assert value_candidates(MAPS, number=2) == [None, 2, 7.5]
    assert value_candidates([PeakValues(np.ones(1), 1)]) == [None]


def test_nothing_to_fit():
    for arguments in (([], [None], [0]), (MAPS, [], [0]), (MAPS, [None], [])):
        with pytest.raises(ValueError, match='no peaks or no thresholds'):
            fit_peak_thresholds(*arguments)
