import cv2
import numpy as np
import pytest

from mmwsl.evaluation.functional.boxes import (
    THRESHOLDS,
    best_ious,
    box_ious,
    component_boxes,
    maps_to_boxes,
    match_objects,
    object_scores,
    resize_boxes,
    sweep_boxes,
)


def slow_boxes(score_map, thresholds, multi_contour):
    """Threshold again and again, as the definition says."""
    image = (score_map * 255).astype(np.uint8)
    height, width = image.shape
    result = []
    for threshold in thresholds:
        cut = int(threshold * np.max(image))
        mask = cv2.threshold(image, cut, 255, cv2.THRESH_BINARY)[1]
        contours = cv2.findContours(
            mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE
        )[-2]
        if len(contours) == 0:
            result.append([[0, 0, 0, 0]])
            continue
        if not multi_contour:
            contours = [max(contours, key=cv2.contourArea)]
        boxes = []
        for contour in contours:
            x, y, w, h = cv2.boundingRect(contour)
            boxes.append([x, y, min(x + w, width - 1), min(y + h, height - 1)])
        result.append(boxes)
    return result


def as_lists(boxes):
    return [item.tolist() for item in boxes]


@pytest.fixture
def two_blobs():
    """A small bright one, and a larger one in the corner, half as bright."""
    score_map = np.zeros((6, 8), np.float32)
    score_map[1:3, 1:3] = 1
    score_map[2:6, 4:8] = 0.5
    return score_map


def test_two_blobs_of_which_one_touches_the_border(two_blobs):
    # 0.5 becomes 127: below 127 / 255 both are above int(t * 255).
    thresholds = [0.0, 0.498, 0.499, 0.999, 1.0]
    small, large = [1, 1, 3, 3], [4, 2, 7, 5]
    found = maps_to_boxes(two_blobs, thresholds)
    assert as_lists(found) == [
        [large], [large], [small], [small], [[0, 0, 0, 0]]
    ]  # fmt: skip
    assert all(boxes.dtype.kind == 'i' for boxes in found)
    found = maps_to_boxes(two_blobs, thresholds, multi_contour=True)
    assert sorted(found[1].tolist()) == [small, large]
    assert as_lists(found[2:]) == [[small], [small], [[0, 0, 0, 0]]]


def test_maximum_below_one_scales_the_thresholds(two_blobs):
    # 255 * 0.4 = 102 and 255 * 0.2 = 51; int(0.5 * 102) = 51, not below it.
    found = maps_to_boxes(two_blobs * 0.4, [0.49, 0.5])
    assert as_lists(found) == [[[4, 2, 7, 5]], [[1, 1, 3, 3]]]


@pytest.mark.parametrize(
    ('value', 'expected'), [(0.0, [0, 0, 0, 0]), (0.6, [0, 0, 4, 2])]
)
def test_constant_maps(value, expected):
    found = maps_to_boxes(np.full((3, 5), value), THRESHOLDS, True)
    # int(t * 153) is below 153 for all t < 1.
    assert len(found) == 1000
    assert {tuple(boxes.ravel()) for boxes in found} == {tuple(expected)}


def test_a_hole_has_a_contour_too():
    ring = np.ones((7, 7))
    ring[2:5, 2:5] = 0
    outer, hole = [0, 0, 6, 6], [1, 1, 6, 6]
    found = maps_to_boxes(ring, [0.5], multi_contour=True)[0]
    assert sorted(found.tolist()) == [outer, hole]
    assert maps_to_boxes(ring, [0.5])[0].tolist() == [outer]


def test_one_pixel():
    assert maps_to_boxes(np.ones((1, 1)), [0])[0].tolist() == [[0, 0, 0, 0]]
    score_map = np.eye(3)[:1]
    assert maps_to_boxes(score_map, [0])[0].tolist() == [[0, 0, 1, 0]]


def random_maps():
    rng = np.random.default_rng(0)
    smooth = cv2.resize(rng.random((5, 5)), (40, 30), interpolation=2)
    yield 'smooth', (smooth - smooth.min()) / np.ptp(smooth)
    yield 'noise', rng.random((17, 23)).astype(np.float32)
    yield 'half', rng.random((9, 12)).astype(np.float16)
    yield 'plateaus', rng.integers(0, 4, (25, 18)) / 3
    yield 'dim plateaus', rng.integers(0, 3, (25, 18)) / 40
    yield 'border', np.pad(np.zeros((8, 6)), 2, constant_values=0.7)
    yield 'binary', rng.random((20, 20)) > 0.6


@pytest.mark.parametrize(
    'score_map', [pytest.param(m, id=name) for name, m in random_maps()]
)
@pytest.mark.parametrize('multi_contour', [False, True])
def test_equals_thresholding_a_thousand_times(score_map, multi_contour):
    found = maps_to_boxes(score_map, THRESHOLDS, multi_contour)
    assert as_lists(found) == slow_boxes(score_map, THRESHOLDS, multi_contour)


def test_thresholds_in_any_order_and_range():
    score_map = np.random.default_rng(1).random((11, 13))
    thresholds = [0.7, -0.3, 1.2, 0.1, 0.7, 0.0]
    for multi_contour in (False, True):
        found = maps_to_boxes(score_map, thresholds, multi_contour)
        assert as_lists(found) == slow_boxes(
            score_map, thresholds, multi_contour
        )
    assert maps_to_boxes(score_map, []) == []


@pytest.mark.parametrize(
    ('score_map', 'message'),
    [
        (np.full((2, 2), 1.01), r'must be in \[0, 1\] without NaN, got 1.01'),
        (np.full((2, 2), -0.1), r'must be in \[0, 1\] without NaN, got -0.1'),
        (np.array([[0.5, np.nan]]), r'without NaN'),
        (np.zeros((1, 2, 2)), r'the shape \(H, W\), got \(1, 2, 2\)'),
        (np.zeros((0, 2)), r'the shape \(H, W\), got \(0, 2\)'),
    ],
)
def test_bad_maps(score_map, message):
    with pytest.raises(ValueError, match=message):
        maps_to_boxes(score_map, [0.5])


def test_bad_thresholds():
    with pytest.raises(ValueError, match='thresholds must be a list'):
        maps_to_boxes(np.ones((2, 2)), [0.5, np.nan])


def test_pixels_of_the_last_row_and_column_count():
    boxes = np.array([[1, 1, 3, 3], [0, 0, 0, 0]])
    others = np.array([[2, 2, 4, 4], [1, 1, 3, 3], [8, 8, 9, 9]])
    # 2 x 2 of 9 + 9 - 4 pixels.
    expected = [[4 / 14, 1, 0], [0, 0, 0]]
    assert box_ious(boxes, others) == pytest.approx(np.array(expected))


def test_best_overlap_at_every_threshold(two_blobs):
    sweep = sweep_boxes(two_blobs, [0.9, 0.1, 1.0])
    truth = np.array([[1, 1, 3, 3], [4, 2, 7, 6]])
    largest, every = best_ious(sweep, truth)
    # 4 x 4 of 4 x 5 pixels, and no overlap of the box (0, 0, 0, 0).
    assert largest.tolist() == [1, 0.8, 0]
    assert every.tolist() == [1, 1, 0]


def test_ground_truth_is_cut_off():
    boxes = np.array([[10, 20, 99, 50.5]])
    found = resize_boxes(boxes, (60, 100), (224, 224))
    # 22.4, 74.67, 221.76, 188.53
    assert found.tolist() == [[22, 74, 221, 188]]


@pytest.mark.parametrize('kind', [bool, np.int8, np.uint8, np.int64])
def test_whole_numbers(kind):
    plane = np.zeros((4, 5), kind)
    plane[1:3, 1:3] = 1
    assert as_lists(maps_to_boxes(plane, [0.5])) == [[[1, 1, 3, 3]]]


def test_ious_of_single_pixels_and_inverted_boxes():
    pixels = np.zeros((3, 4), int)
    assert (box_ious(pixels, pixels[:2]) == 1).all()
    good, inverted = np.array([[1, 1, 2, 2]]), np.array([[1, 1, 0, 0]])
    for boxes in ((good, inverted), (inverted, good)):
        with pytest.raises(ValueError, match='ends before it begins'):
            box_ious(*boxes)


def test_boxes_of_connected_parts():
    mask = np.zeros((6, 9), bool)
    mask[0, 0] = mask[1, 1] = True
    mask[2:5, 4:8] = True
    # The largest first; corners touch, and boxes end behind the last pixel.
    assert component_boxes(mask).tolist() == [[4, 2, 8, 5], [0, 0, 2, 2]]
    assert component_boxes(mask & False).shape == (0, 4)


def filled(box, shape=(20, 30)):
    x1, y1, x2, y2 = box
    mask = np.zeros(shape, bool)
    mask[y1:y2, x1:x2] = True
    return mask


def overlap(one, other):
    one, other = filled(one), filled(other)
    return (one & other).sum() / (one | other).sum()


PARTS = [(0, [2, 2, 10, 12]), (0, [20, 1, 24, 5]), (1, [12, 8, 28, 18])]
OBJECTS = [
    (0, [3, 2, 11, 12], False),
    (0, [14, 14, 20, 20], False),
    (1, [10, 8, 20, 18], True),
    (2, [0, 14, 5, 20], False),
]


def matches():
    label_map = np.zeros((20, 30), np.uint8)
    for label, box in PARTS:
        label_map[filled(box)] = label + 1
    label_map[19, 29] = 255
    labels, boxes, hard = zip(*OBJECTS)
    objects = dict(
        labels=np.array(labels),
        bboxes=np.array(boxes, np.float32),
        difficult=np.array(hard),
    )
    return match_objects(label_map, objects)


def test_parts_are_matched_with_objects():
    """Independent: the boxes are painted and their pixels counted."""
    rows = matches()
    best = overlap(PARTS[0][1], OBJECTS[0][1])
    expected = {
        # The objects that are not difficult.
        0: {(0, best), (0, 0.0), (2, 0.0)},
        # The largest part of each class of an image.
        1: {(0, best), (2, 0.0)},
        2: {(0, best), (0, 0.0)},
    }
    for kind, wanted in expected.items():
        own = rows[(rows[:, 0] == kind) & ~np.isnan(rows[:, 2])]
        found = {(int(c), round(x, 9)) for _, c, x in own}
        assert found == {(c, round(x, 9)) for c, x in wanted}
    # A part on a difficult object is neither right nor wrong.
    assert rows[np.isnan(rows[:, 2])][:, :2].tolist() == [[2, 1]]


def test_scores_of_objects():
    scores = object_scores(matches(), 3)
    best = overlap(PARTS[0][1], OBJECTS[0][1])
    assert best >= 0.5
    nan = float('nan')
    expected = dict(
        recall=[1 / 2, nan, 0, 1 / 3],
        best_iou=[best / 2, nan, 0, best / 3],
        corloc=[1, nan, 0, 1 / 2],
        precision=[1 / 2, nan, nan, 1 / 2],
    )
    for name, values in expected.items():
        np.testing.assert_allclose(scores[name], values)
    none = object_scores(np.zeros((0, 3)), 1)
    assert np.isnan(none['recall']).all()
