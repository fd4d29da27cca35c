import numpy as np
import pytest

from mmwsl.evaluation.functional.classification import (
    average_precision,
    multilabel_scores,
    topk_hits,
)


def test_average_precision_known_answer():
    # Ranks of the positives: 1 and 3, so (1 / 1 + 2 / 3) / 2.
    value = average_precision([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0])
    assert value == pytest.approx(5 / 6)


def test_average_precision_counts_ties_together():
    # All three enter at once: precision 1 / 3 at recall 1, in any order.
    for targets in ([1, 0, 0], [0, 1, 0], [0, 0, 1]):
        value = average_precision([0.5, 0.5, 0.5], targets)
        assert value == pytest.approx(1 / 3)


def test_average_precision_leaves_ignored_out():
    scores, targets = [0.9, 0.8, 0.7], [0, 1, 1]
    assert average_precision(scores, targets, [1, 0, 0]) == 1
    assert average_precision(scores, targets) == pytest.approx(
        (1 / 2 + 2 / 3) / 2
    )


def test_average_precision_of_an_absent_class_is_nan():
    assert np.isnan(average_precision([0.3, 0.2], [0, 0]))
    assert np.isnan(average_precision([0.3, 0.2], [1, 0], [1, 0]))
    assert np.isnan(average_precision([], []))


def test_average_precision_equals_sklearn():
    metrics = pytest.importorskip('sklearn.metrics')
    rng = np.random.default_rng(0)
    for _ in range(50):
        size = rng.integers(2, 30)
        # Few distinct values give many ties.
        scores = rng.integers(0, 6, size) / 6
        targets = rng.integers(0, 2, size)
        targets[0] = 1
        assert average_precision(scores, targets) == pytest.approx(
            metrics.average_precision_score(targets, scores), abs=1e-12
        )


@pytest.mark.parametrize(
    ('scores', 'targets', 'message'),
    [
        ([0.1, float('nan')], [1, 0], 'NaN'),
        ([0.1, 0.2], [1], 'shape'),
        ([[0.1]], [[1]], 'shape'),
    ],
)
def test_average_precision_rejects(scores, targets, message):
    with pytest.raises(ValueError, match=message):
        average_precision(scores, targets)


def test_multilabel_scores_known_answer():
    scores = np.array([[0.9, 0.1, 0.6], [0.6, 0.7, 0.2], [0.2, 0.4, 0.1]])
    targets = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 0]])
    result = multilabel_scores(scores, targets)
    np.testing.assert_allclose(
        result['ap'], [(1 + 2 / 3) / 2, (1 + 2 / 3) / 2, np.nan]
    )
    # Class 0: shown 2, hit 1, present 2; class 1: shown 1, hit 1, present 2.
    np.testing.assert_allclose(result['precision'], [0.5, 1, np.nan])
    np.testing.assert_allclose(result['recall'], [0.5, 0.5, np.nan])
    np.testing.assert_allclose(result['f1'], [0.5, 2 / 3, np.nan])
    assert result['mAP'] == pytest.approx(5 / 6)
    assert result['mF1'] == pytest.approx(7 / 12)
    # Micro also counts the wrong decision of the absent class.
    assert result['micro_precision'] == pytest.approx(2 / 4)
    assert result['micro_recall'] == pytest.approx(2 / 4)
    assert result['num_images'].tolist() == [2, 2, 0]


def test_multilabel_scores_ignore_pairs():
    scores = np.array([[0.9, 0.1], [0.6, 0.7]])
    targets = np.array([[0, 1], [1, 1]])
    ignore = np.array([[1, 0], [0, 0]])
    result = multilabel_scores(scores, targets, ignore)
    np.testing.assert_allclose(result['ap'], [1, 1])
    np.testing.assert_allclose(result['precision'], [1, 1])
    assert result['num_images'].tolist() == [1, 2]


def test_multilabel_scores_without_any_positive():
    result = multilabel_scores(np.full((2, 2), 0.7), np.zeros((2, 2)))
    assert np.isnan(result['mAP'])
    assert np.isnan(result['micro_f1'])


def test_topk_hits_breaks_ties_by_index():
    scores = [0.2, 0.5, 0.5, 0.1]
    assert topk_hits(scores, 1, (1, 2)).tolist() == [True, True]
    assert topk_hits(scores, 2, (1, 2)).tolist() == [False, True]
    assert topk_hits(scores, 3, (1, 3, 4)).tolist() == [False, False, True]


def test_topk_hits_rejects():
    with pytest.raises(ValueError, match='label 4'):
        topk_hits([0.1, 0.2], 4, (1,))
    with pytest.raises(ValueError, match='NaN'):
        topk_hits([0.1, float('nan')], 0, (1,))
