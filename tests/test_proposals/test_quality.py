"""Tests of how proposals are scored."""

import numpy as np
import pytest

from mmwsl.proposals import (
    best_overlaps,
    proposal_scores,
    quality_table,
)
from mmwsl.structures import Proposals

OBJECTS = np.array([[[1, 1, 0, 0]], [[0, 0, 1, 1]]], dtype=bool)
PROPOSALS = np.array(
    [[[1, 1, 1, 1]], [[1, 0, 0, 0]], [[0, 0, 1, 1]]], dtype=bool
)


def test_best_overlaps_by_hand() -> None:
    packed = Proposals(PROPOSALS)
    found = best_overlaps(packed, OBJECTS, [1, 2, 3, 9])
    assert found.tolist() == [[0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 1, 1]]
    # Without the second pixel the second proposal fits the first object.
    valid = np.array([[True, False, True, True]])
    found = best_overlaps(packed, OBJECTS, [1, 2, 3], valid)
    np.testing.assert_allclose(found, [[1 / 3, 1, 1], [2 / 3, 2 / 3, 1]])


def test_many_proposals_in_parts() -> None:
    rng = np.random.default_rng(0)
    proposals, objects = rng.random((600, 5, 6)) > 0.5, rng.random((3, 5, 6))
    objects = objects > 0.5
    found = best_overlaps(Proposals(proposals), objects, [1, 256, 257, 550])
    for row, one in zip(found, objects):
        ious = (one & proposals).sum((1, 2)) / (one | proposals).sum((1, 2))
        expected = [ious[:k].max() for k in (1, 256, 257, 550)]
        np.testing.assert_allclose(row, expected)


def test_no_objects_or_proposals() -> None:
    packed = Proposals(PROPOSALS)
    assert best_overlaps(packed, OBJECTS[:0], [1, 2]).shape == (0, 2)
    assert best_overlaps(packed[:0], OBJECTS, [5]).tolist() == [[0], [0]]
    with pytest.raises(ValueError, match='no object'):
        proposal_scores(np.zeros((0, 1)), np.zeros(0), [1], ['a'])


def test_scores_by_hand() -> None:
    overlaps = np.array([[0.4, 0.6], [0.8, 0.8], [0.5, 0.7]])
    scores = proposal_scores(
        overlaps, np.array([0, 0, 2]), [10, 20], ['cat', 'dog', 'owl']
    )
    assert scores['num_objects'] == 3
    assert scores['ABO@10'] == pytest.approx(170 / 3)
    assert scores['ABO@20'] == pytest.approx(70)
    assert scores['MABO@10'] == pytest.approx((60 + 50) / 2)
    assert scores['recall@0.5@10'] == pytest.approx(200 / 3)
    assert scores['recall@0.7@20'] == pytest.approx(200 / 3)
    assert list(scores['classes']) == ['cat', 'owl']
    assert scores['classes']['cat']['recall@0.7@10'] == 50
    lines = quality_table(scores, [10, 20]).splitlines()
    assert 'owl' in lines[4]
    assert lines[5].split('|')[1].strip() == 'all objects'
    assert '56.67' in lines[5]
