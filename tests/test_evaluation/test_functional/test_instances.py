import numpy as np
import pytest

from mmwsl.evaluation.functional.instances import (
    assign_maps,
    instance_scores,
    map_parts,
    map_quality,
    match_instances,
)

THRESHOLDS = (0.25, 0.5, 0.75)


def match(ious, scores, labels=None, gt_labels=None, ignored=None):
    ious = np.array(ious, float)
    m, n = ious.shape
    return match_instances(
        ious,
        np.zeros(m, int) if labels is None else np.array(labels),
        np.array(scores, float),
        np.zeros(n, int) if gt_labels is None else np.array(gt_labels),
        np.zeros(n, bool) if ignored is None else np.array(ignored),
        THRESHOLDS,
    )


def ap_by_loop(images, label, threshold):
    """PASCAL VOC's rule over the sorted list of all images."""
    positives = sum(
        int((gt == label)[~ignored].sum()) for _, _, _, gt, ignored in images
    )
    found = sorted(
        (-scores[i], number, i)
        for number, (_, labels, scores, _, _) in enumerate(images)
        for i in range(len(labels))
        if labels[i] == label
    )
    taken, hits, shown, curve = set(), 0, 0, []
    for _, number, i in found:
        ious, _, _, gt, ignored = images[number]
        overlaps = [
            ious[i, j] if gt[j] == label else -1 for j in range(len(gt))
        ]
        j = int(np.argmax(overlaps)) if overlaps else -1
        if j >= 0 and overlaps[j] >= threshold:
            if ignored[j]:
                continue
            if (number, j) not in taken:
                taken.add((number, j))
                hits += 1
        shown += 1
        curve.append((hits / positives, hits / shown))
    # The area under the largest precision at any larger recall.
    area, before = 0.0, 0.0
    for index, (recall, _) in enumerate(curve):
        best = max(precision for _, precision in curve[index:])
        area += (recall - before) * best
        before = recall
    return area


def test_matching_known_answer():
    # Two on the first instance, one on the second.
    one = match([[1, 0], [0.5, 0], [0, 0.6]], [0.9, 0.8, 0.7])
    assert one.outcome.tolist() == [[1, 0, 1], [1, 0, 1], [1, 0, 0]]
    assert one.best.tolist() == [1, 0.6]
    scores = instance_scores([one], 1)
    # Precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1.
    assert scores['ap'][:, 0] == pytest.approx([5 / 6, 5 / 6, 0.5])
    assert scores['mAP'] == pytest.approx([5 / 6, 5 / 6, 0.5])
    assert scores['mABO'] == pytest.approx(0.8)


def test_the_first_by_score_takes_the_instance():
    assert match([[0.6], [0.9]], [0.3, 0.7]).outcome[1].tolist() == [0, 1]
    assert match([[0.6], [0.9]], [0.5, 0.5]).outcome[1].tolist() == [1, 0]
    # The second best overlap does not help.
    both = match([[0.6, 0.3], [0.4, 0.3]], [0.9, 0.8]).outcome[0]
    assert both.tolist() == [1, 0]


def test_ignored_instances_neither_count_nor_harm():
    one = match([[0.8, 0], [0.7, 0], [0, 0.9]], [3, 2, 1], ignored=[1, 0])
    assert one.outcome[1].tolist() == [-1, -1, 1]
    assert one.gt_labels.tolist() == [0]
    assert one.best.tolist() == [0.9]
    scores = instance_scores([one], 1)
    assert scores['mAP'][1] == 1
    assert scores['num_gt'].tolist() == [1]


def test_other_classes_do_not_match():
    one = match([[0.9], [0.6]], [0.9, 0.8], labels=[1, 0])
    assert one.outcome[1].tolist() == [0, 1]
    assert one.best.tolist() == [0.6]
    scores = instance_scores([one], 3)
    assert scores['ap'][1].tolist()[0] == 1
    # Classes without instances have no value.
    assert np.isnan(scores['ap'][:, 1:]).all()
    assert np.isnan(scores['abo'][1:]).all()
    assert scores['num_pred'].tolist() == [1, 1, 0]


@pytest.mark.parametrize('seed', range(3))
def test_equals_a_loop_over_the_sorted_list(seed):
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(12):
        m, n = rng.integers(0, 7), rng.integers(0, 4)
        images.append(
            (
                rng.random((m, n)),
                rng.integers(0, 2, m),
                rng.random(m),
                rng.integers(0, 2, n),
                rng.random(n) < 0.2,
            )
        )
    scores = instance_scores(
        [match_instances(*image, THRESHOLDS) for image in images], 2
    )
    for t, threshold in enumerate(THRESHOLDS):
        for label in (0, 1):
            expected = ap_by_loop(images, label, threshold)
            assert scores['ap'][t, label] == pytest.approx(expected)


def test_equal_scores_of_several_images_enter_together():
    hit, miss = match([[1.0]], [0.5]), match([[0.0]], [0.5])
    for order in ([hit, miss], [miss, hit]):
        assert instance_scores(order, 1)['mAP'][0] == pytest.approx(0.25)


def test_no_predictions_and_no_instances():
    nothing = match(np.zeros((0, 2)), [])
    scores = instance_scores([nothing], 1)
    assert scores['mAP'].tolist() == [0, 0, 0]
    assert scores['mABO'] == 0
    none = match(np.zeros((2, 0)), [1, 2])
    assert none.outcome.tolist() == [[0, 0]] * 3
    empty = instance_scores([none], 1)
    assert np.isnan(empty['mAP']).all()
    assert np.isnan(empty['mABO'])
    with pytest.raises(ValueError, match='no image'):
        instance_scores([], 1)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'ious': np.zeros((2, 2))}, 'do not fit'),
        ({'scores': np.array([0.1, 0.2])}, 'do not fit'),
        ({'scores': np.array([np.nan])}, 'NaN'),
    ],
)
def test_bad_input(change, message):
    arguments = dict(
        ious=np.zeros((1, 1)),
        labels=np.zeros(1, int),
        scores=np.zeros(1),
        gt_labels=np.zeros(1, int),
        gt_ignored=np.zeros(1, bool),
        thresholds=THRESHOLDS,
    )
    with pytest.raises(ValueError, match=message):
        match_instances(**{**arguments, **change})


def test_map_parts_known_answer():
    maps = np.zeros((2, 3, 5), np.float32)
    # Connected at a corner, and apart from the last column.
    maps[0, 0, 0] = maps[0, 1, 1] = 0.5
    maps[0, :, 4] = 1
    maps[1, 2, :2] = 0.3, 0.9
    scores = np.array([0.1, 0.8, 0.2, 0.6])
    found = map_parts(maps, np.array([3, 1]), scores, 0.3)
    assert found['labels'].tolist() == [3, 3, 1]
    np.testing.assert_allclose(found['scores'], [0.3, 0.6, 0.72], rtol=1e-6)
    expected = np.zeros((3, 3, 5), bool)
    expected[0, [0, 1], [0, 1]] = True
    expected[1, :, 4] = True
    # A value at the threshold is not above it.
    expected[2, 2, 1] = True
    np.testing.assert_array_equal(found['masks'], expected)


def test_nothing_above_the_threshold_and_no_maps():
    scores = np.array([0.5, 0.5])
    for maps in (np.zeros((2, 3, 5)), np.zeros((0, 3, 5))):
        found = map_parts(maps, np.arange(len(maps)), scores, 0.0)
        assert found['masks'].shape == (0, 3, 5)
        assert found['masks'].dtype == bool
        assert found['labels'].shape == found['scores'].shape == (0,)


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
