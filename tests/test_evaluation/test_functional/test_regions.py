"""Tests of the scores of regions."""

import numpy as np
import pytest

from mmwsl.evaluation.functional.regions import region_counts, region_scores


def test_by_hand():
    mask = np.array([[0, 1, 1, 3, 255]])
    regions = np.array([[[1, 1, 0, 0, 1]], [[0, 1, 0, 1, 1]]], bool)
    counts = region_counts(regions, np.array([0, 2]), mask, 3)
    assert counts.tolist() == [[1, 0, 1], [2, 0, 2], [2, 0, 1]]
    scores = region_scores(counts)
    assert scores['recall'] == pytest.approx((1 / 2 + 1) / 2)
    assert scores['precision'] == pytest.approx((1 / 2 + 1 / 2) / 2)


def test_nothing():
    mask = np.zeros((2, 3), np.uint8)
    counts = region_counts(np.zeros((0, 2, 3), bool), np.zeros(0), mask, 2)
    assert counts.sum() == 0
    assert all(np.isnan(x) for x in region_scores(counts).values())


def test_bad_input():
    mask = np.zeros((2, 3), np.uint8)
    with pytest.raises(ValueError, match='differ in size'):
        region_counts(np.zeros((1, 2, 2), bool), np.array([0]), mask, 2)
    with pytest.raises(ValueError, match='there are 2'):
        region_counts(np.zeros((1, 2, 3), bool), np.array([2]), mask, 2)
