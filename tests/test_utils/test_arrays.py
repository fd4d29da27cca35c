"""Tests of the arithmetic of planes."""

import math

import numpy as np
import pytest
import torch

from mmwsl.utils.arrays import (
    background_score,
    bounded_size,
    maps_to_label,
    mask_iou,
    resize,
    suppress,
    unflip,
)

MAPS = torch.tensor([[[0.2, 0.6, 1.0]], [[0.5, 0.1, 1.0]]])
IOUS = np.array(
    [
        [1.0, 0.5, 0.0, 0.3],
        [0.5, 1.0, 0.6, 0.0],
        [0.0, 0.6, 1.0, 0.0],
        [0.3, 0.0, 0.0, 1.0],
    ]
)


@pytest.mark.parametrize(
    ('shape', 'pixels', 'size'),
    [
        ((30, 40), 1200, (30, 40)),
        ((30, 40), 300, (15, 20)),
        ((1, 10**7), 1000, (1, 1000)),
        ((10**7, 1), 1000, (1000, 1)),
        ((5, 5), 1, (1, 1)),
    ],
)
def test_bounded_size(shape, pixels, size):
    assert bounded_size(shape, pixels) == size


def test_resize_averages_and_interpolates():
    plane = np.array([[0, 2], [4, 6]], np.float32)
    assert resize(plane, (2, 2)) is plane
    assert resize(plane, (1, 1)).tolist() == [[3]]
    assert resize(plane, (2, 4))[0].tolist() == [0, 0.5, 1.5, 2]


@pytest.mark.parametrize(
    ('direction', 'turned'),
    [
        (None, [[0, 1], [2, 3]]),
        ('horizontal', [[1, 0], [3, 2]]),
        ('vertical', [[2, 3], [0, 1]]),
        ('diagonal', [[3, 2], [1, 0]]),
    ],
)
def test_mirrored_planes_are_turned_back(direction, turned):
    plane = torch.arange(4).reshape(2, 2)
    assert unflip(plane, direction).tolist() == turned
    assert unflip(plane[None], direction).tolist() == [turned]
    assert unflip(plane.numpy(), direction).tolist() == turned


@pytest.mark.parametrize(
    ('mode', 'value', 'expected'),
    [
        ('constant', 0.4, [0.4] * 3),
        ('power', 2.0, [0.25, 0.16, 0.0]),
        ('saliency', 9.0, [1.0, 0.7, 0.0]),
    ],
)
def test_background(mode, value, expected) -> None:
    saliency = torch.tensor([[0.0, 0.3, 1.0]])
    score = background_score(MAPS, mode, value, saliency=saliency)
    assert score.tolist() == [pytest.approx(expected)]


def test_backgrounds_that_lack_something() -> None:
    nothing_kept = background_score(MAPS[:0], 'power', 2.0)
    assert nothing_kept.tolist() == [[1.0, 1.0, 1.0]]
    with pytest.raises(ValueError, match='LoadSaliency'):
        background_score(MAPS, 'saliency')
    with pytest.raises(ValueError, match="'none'"):
        background_score(MAPS, 'none')


def test_label_map_takes_the_best_and_background_on_ties() -> None:
    labels = torch.tensor([7, 3])
    background = torch.tensor([[0.5, 0.5, 0.5]])
    label = maps_to_label(MAPS, labels, background)
    # Second pixel: class 7 at 0.6; third: both at 1, the first one wins.
    assert label.tolist() == [[0, 8, 8]]
    empty = maps_to_label(MAPS[:0], labels[:0], background)
    assert empty.tolist() == [[0, 0, 0]]


def test_each_class_against_its_own_background() -> None:
    """The best of the classes that are above their own threshold."""
    maps = torch.tensor([[[0.6, 0.6, 0.2, 0.4]], [[0.5, 0.3, 0.3, 0.9]]])
    values = torch.tensor([0.7, 0.3])[:, None, None]
    background = background_score(maps, 'constant', values)
    assert background.shape == maps.shape
    label = maps_to_label(maps, torch.tensor([7, 3]), background)
    # The first map never is; the second one is equal in the second pixel.
    assert label.tolist() == [[4, 0, 0, 4]]
    power = background_score(maps, 'power', values)
    expected = [[0.4, 0.4, 0.7, 0.1]] * 2
    for row, exponent, own in zip(expected, (0.7, 0.3), power[:, 0]):
        assert own.tolist() == pytest.approx([x**exponent for x in row])
    # One value for all is the same said at length.
    same = background_score(maps, 'power', torch.full((2, 1, 1), 0.5))
    one = background_score(maps, 'power', 0.5)
    labels = torch.tensor([7, 3])
    assert torch.equal(
        maps_to_label(maps, labels, same), maps_to_label(maps, labels, one)
    )
    empty = maps_to_label(maps[:0], labels[:0], background[:0])
    assert empty.tolist() == [[0] * 4]


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf, -0.1])
def test_only_numbers_become_labels(value) -> None:
    bad = torch.tensor([[0.2, value, 1.0]])
    with pytest.raises(ValueError, match=r'in \[0, 1\]'):
        background_score(MAPS, 'saliency', saliency=bad)
    if not math.isfinite(value):
        with pytest.raises(ValueError, match='finite'):
            maps_to_label(bad[None], torch.tensor([3]), MAPS[0])


def test_iou_by_hand() -> None:
    a = np.array([[[1, 1], [0, 0]], [[0, 0], [0, 0]]], dtype=bool)
    b = np.array([[[1, 0], [1, 0]], [[1, 1], [0, 0]], [[0, 0], [0, 0]]])
    assert mask_iou(a, b.astype(bool)).tolist() == [[1 / 3, 1, 0], [0, 0, 0]]


def test_iou_is_like_a_loop_over_pairs() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.random((k, 70, 90)) > t for k, t in ((5, 0.3), (7, 0.8)))
    iou = mask_iou(a, b)
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            assert iou[i, j] == (one & other).sum() / (one | other).sum()


def test_intersections_are_exact_above_single_precision() -> None:
    # 2^24 + 1 is the first whole number that float32 does not hold.
    side = np.ones((1, 4097, 4097), dtype=bool)
    assert mask_iou(side, side) == 1


@pytest.mark.parametrize(('p', 'k'), [(0, 2), (2, 0), (0, 0)])
def test_iou_of_no_masks(p, k) -> None:
    assert mask_iou(np.zeros((p, 3, 4)), np.ones((k, 3, 4))).shape == (p, k)


def test_iou_of_other_sizes() -> None:
    with pytest.raises(ValueError, match=r'\(1, 2, 3\) and \(1, 3, 2\)'):
        mask_iou(np.zeros((1, 2, 3)), np.zeros((1, 3, 2)))
    with pytest.raises(ValueError, match='two stacks'):
        mask_iou(np.zeros((2, 3)), np.zeros((2, 3)))


def test_suppression_known_answer():
    # 1 goes with 0, so 2, which only overlaps 1, stays; 0.3 is not above.
    kept, owner = suppress(np.array([0.9, 0.8, 0.7, 1.0]), IOUS, 0.3)
    assert kept.tolist() == [3, 0, 2]
    assert owner.tolist() == [1, 1, 2, 0]
    kept, owner = suppress(np.array([0.7, 0.8, 0.7, 0.7]), IOUS, 0.29)
    assert kept.tolist() == [1, 3]
    assert owner.tolist() == [0, 0, 0, 1]


def test_suppression_of_equal_scores_and_empty_masks():
    kept, _ = suppress(np.zeros(4), np.eye(4), 0.5)
    assert kept.tolist() == [0, 1, 2, 3]
    kept, owner = suppress(np.ones(2), np.zeros((2, 2)), 0.0)
    assert kept.tolist() == owner.tolist() == [0, 1]
    kept, owner = suppress(np.zeros(0), np.zeros((0, 0)), 0.3)
    assert kept.shape == owner.shape == (0,)
