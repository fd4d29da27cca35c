"""Tests of the overlap of masks."""

import numpy as np
import pytest

from mmwsl.utils.masks import mask_intersections, mask_iou


def test_by_hand() -> None:
    a = np.array([[[1, 1], [0, 0]], [[0, 0], [0, 0]]], dtype=bool)
    b = np.array([[[1, 0], [1, 0]], [[1, 1], [0, 0]], [[0, 0], [0, 0]]])
    assert mask_iou(a, b.astype(bool)).tolist() == [[1 / 3, 1, 0], [0, 0, 0]]


def test_like_a_loop_over_pairs() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.random((k, 70, 90)) > t for k, t in ((5, 0.3), (7, 0.8)))
    iou = mask_iou(a, b)
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            assert iou[i, j] == (one & other).sum() / (one | other).sum()


def test_exact_above_single_precision() -> None:
    # 2^24 + 1 is the first whole number that float32 does not hold.
    side = np.ones((1, 4097, 4097), dtype=bool)
    assert mask_intersections(side, side)[0, 0] == 4097**2


@pytest.mark.parametrize(('p', 'k'), [(0, 2), (2, 0), (0, 0)])
def test_no_masks(p, k) -> None:
    assert mask_iou(np.zeros((p, 3, 4)), np.ones((k, 3, 4))).shape == (p, k)


def test_other_sizes() -> None:
    with pytest.raises(ValueError, match=r'\(1, 2, 3\) and \(1, 3, 2\)'):
        mask_iou(np.zeros((1, 2, 3)), np.zeros((1, 3, 2)))
    with pytest.raises(ValueError, match='two stacks'):
        mask_iou(np.zeros((2, 3)), np.zeros((2, 3)))
