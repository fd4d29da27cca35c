import json

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData

import metric_runs
from mmwsl.evaluation import MaxBoxAccMetric, PxAPMetric
from mmwsl.structures import WSLDataSample

ABSENT = object()


def make_sample(
    score_map, boxes, shape, label=1, score=(0.1, 0.7, 0.2), **extra
):
    sample = WSLDataSample(metainfo=dict(img_id='a/1', ori_shape=shape))
    sample.set_gt_label([label], 3)
    sample.pred_score_map = PixelData(data=torch.as_tensor(score_map)[None])
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    extra.setdefault('labels', torch.full((len(boxes),), label))
    sample.gt_instances = InstanceData(bboxes=boxes, **extra)
    if score is not None:
        sample.set_pred_score(score)
    return sample


def evaluate(samples, kind='MaxBoxAccMetric', **kwargs):
    kwargs.setdefault('size', None)
    return metric_runs.evaluate(kind, samples, **kwargs)


def blob(value, left, top, right, bottom):
    """A map 4 x 5 in which the last pixels belong to the blob."""
    score_map = torch.zeros(4, 5)
    score_map[top : bottom + 1, left : right + 1] = value
    return score_map


def test_known_answers_on_maps_of_four_by_five():
    # Right at every threshold: its box is (1, 1, 3, 3), as the object's.
    first = make_sample(blob(1.0, 1, 1, 2, 2), [[1, 1, 3, 3]], (4, 5))
    # A step: up to int(t * 255) = 126 the box is that of the whole map,
    # (0, 0, 4, 3); above it is (0, 0, 1, 1). The object is (0, 0, 1, 2),
    # so the IoUs are 6 / 20 and 4 / 6. Classified wrong.
    steps = torch.clamp(blob(1.0, 0, 0, 0, 0) + 0.5, max=1)
    second = make_sample(steps, [[0, 0, 1, 2]], (4, 5), score=(0.8, 0.1, 0.1))
    metrics = evaluate([first, second])
    assert metrics['MaxBoxAcc'] == metrics['GT-known Loc'] == 100
    assert metrics['MaxBoxAccV2@0.3'] == 100
    assert metrics['MaxBoxAccV2@0.5'] == 100
    assert metrics['MaxBoxAccV2@0.7'] == 50
    assert metrics['MaxBoxAccV2'] == 83.33
    assert metrics['Top-1 Loc'] == 50
    # Of three classes there are no first five.
    assert 'Top-5 Loc' not in metrics
    # The first of the best ones: int(0.499 * 255) = 127.
    assert metrics['box_threshold'] == 0.499


def test_all_contours_count_for_version_two_only():
    score_map = blob(1.0, 0, 0, 1, 1) + blob(1.0, 3, 0, 4, 3)
    metrics = evaluate([make_sample(score_map, [[0, 0, 2, 2]], (4, 5))])
    assert metrics['MaxBoxAcc'] == 0
    assert metrics['MaxBoxAccV2'] == 100


def test_any_object_of_the_class_will_do():
    score_map = blob(1.0, 1, 1, 2, 2)
    boxes = [[0, 0, 0, 0], [1, 1, 3, 3]]
    assert (
        evaluate([make_sample(score_map, boxes, (4, 5))])['MaxBoxAcc'] == 100
    )
    other = torch.tensor([1, 2])
    sample = make_sample(score_map, boxes, (4, 5), labels=other)
    assert evaluate([sample])['MaxBoxAcc'] == 0
    # A difficult object counts where there is no other.
    hard = make_sample(
        score_map, boxes, (4, 5), difficult=torch.tensor([False, True])
    )
    assert evaluate([hard])['MaxBoxAcc'] == 0
    alone = make_sample(
        score_map, boxes[1:], (4, 5), difficult=torch.tensor([True])
    )
    assert evaluate([alone])['MaxBoxAcc'] == 100


def test_boxes_are_brought_to_the_map():
    # 224 / 60 and 224 / 100 of the box: (44, 149, 67, 186).
    score_map = torch.zeros(224, 224)
    score_map[149:186, 44:67] = 1
    sample = make_sample(score_map, [[20, 40, 30, 50]], (60, 100))
    metrics = evaluate([sample], size=224, iou_thresholds=(1.0,))
    assert metrics['MaxBoxAccV2@1'] == 100
    moved = make_sample(score_map, [[20, 40, 30, 50.3]], (60, 100))
    assert (
        evaluate([moved], size=224, iou_thresholds=(1.0,))['MaxBoxAccV2'] == 0
    )


def test_the_map_of_the_class_is_taken_without_a_score_map():
    sample = make_sample(blob(1.0, 0, 0, 0, 0), [[1, 1, 3, 3]], (4, 5))
    del sample.pred_score_map
    maps = torch.stack([blob(1.0, 0, 0, 0, 0), blob(0.6, 1, 1, 2, 2) + 0.2])
    sample.pred_maps = PixelData(data=maps)
    sample.pred_map_labels = torch.tensor([0, 1])
    # The map's own size, and 8 x 8, to which the box is brought.
    assert evaluate([sample])['MaxBoxAcc'] == 100
    assert evaluate([sample], size=8)['MaxBoxAcc'] == 100
    sample.pred_map_labels = torch.tensor([0, 2])
    with pytest.raises(ValueError, match='a/1: pred_maps has no map of the'):
        evaluate([sample])


def test_scores_of_another_classifier(tmp_path):
    path = tmp_path / 'scores.csv'
    sample = make_sample(blob(1.0, 1, 1, 2, 2), [[1, 1, 3, 3]], (4, 5))
    assert evaluate([sample])['Top-1 Loc'] == 100
    path.write_text('id,dog,cat,cow\na/1.jpg,0.1,0.7,0.2\n')
    given = dict(scores_file=str(path))
    assert evaluate([sample], **given)['Top-1 Loc'] == 0
    path.write_text('id,dog,cat,cow\na/1.jpg,0.7,0.1,0.2\n')
    assert evaluate([sample], **given)['Top-1 Loc'] == 100
    # An entry of one class takes the scores of its image.
    path.write_text('a.jpg,0.1,0.7,0.2\n')
    assert evaluate([sample], **given)['Top-1 Loc'] == 100
    for text, message in (
        ('b.jpg,0.1,0.7,0.2\n', 'a/1: .*scores.csv has no scores of this'),
        ('a.jpg,0.1,0.7\n', 'scores.csv: 2 scores for each image'),
        ('id,dog,cat,fox\na,0.1,0.7,0.2\n', r'unknown class names \[.fox'),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            evaluate([sample], **given)


def test_boxes_of_a_file_need_no_others(tmp_path):
    """The same numbers as with these boxes in the data set."""
    path = tmp_path / 'boxes.json'
    score_map = torch.from_numpy(np.random.default_rng(0).random((40, 50)))
    box = [3.0, 4.0, 38.0, 30.0]
    sample = make_sample(score_map, [box], (40, 50))
    expected = evaluate([sample])
    sample.gt_instances = InstanceData(bboxes=torch.tensor([[0.0, 0, 1, 1]]))
    path.write_text(json.dumps({'a/1': box}))
    found = evaluate([sample], boxes_file=str(path), prefix='pseudo')
    assert found == {f'pseudo/{k}': v for k, v in expected.items()}
    del sample.gt_instances
    assert evaluate([sample], boxes_file=str(path)) == expected
    path.write_text(json.dumps({'a/2': box}))
    with pytest.raises(ValueError, match='a/1: .*boxes.json has no box'):
        evaluate([sample], boxes_file=str(path))


def test_without_scores_there_is_no_top_k():
    sample = make_sample(
        blob(1.0, 1, 1, 2, 2), [[1, 1, 3, 3]], (4, 5), score=None
    )
    assert not [key for key in evaluate([sample]) if key.startswith('Top')]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(score_map=torch.full((4, 5), 1.5)), r'a/1: score map must be'),
        (dict(score_map=torch.full((4, 5), np.nan)), 'a/1: .*without NaN'),
        (dict(boxes=[[3, 1, 1, 3]]), r'a/1: box \(3, 1, 1, 3\) is inverted'),
        (dict(boxes=[[0, 0, np.inf, 1]]), 'a/1: box .* is not finite'),
        (dict(boxes=[[0, 0, 6, 1]]), r'a/1: box .* is outside .* is 5 x 4'),
        (dict(boxes=[[-1, 0, 3, 1]]), 'a/1: box .* is outside the image'),
        (dict(boxes=[]), 'a/1: no box of the class 1'),
        (dict(gt_label=[0, 1]), r'a/1: localisation needs one label, got'),
        (dict(gt_instances=ABSENT), 'a/1: no gt_instances: .*with_instances'),
        (dict(score=(0.1,)), r'a/1: class scores have shape \(1,\)'),
    ],
)
def test_bad_samples(change, message):
    settings = dict(score_map=blob(1.0, 1, 1, 2, 2), boxes=[[1, 1, 3, 3]])
    fields = {k: v for k, v in change.items() if k.startswith('gt_')}
    settings.update({k: v for k, v in change.items() if k not in fields})
    sample = make_sample(shape=(4, 5), **settings)
    for key, value in fields.items():
        if value is ABSENT:
            delattr(sample, key)
        else:
            sample.set_gt_label(value, 3)
    with pytest.raises(ValueError, match=message):
        evaluate([sample])


def test_boxes_over_the_border():
    boxes = [[1, 1, 3, 4.4]]
    rounded = make_sample(blob(1.0, 1, 1, 2, 2), boxes, (4, 5))
    assert evaluate([rounded])['MaxBoxAcc'] == 100
    boxes = [[-1, 1, 3, 3]]
    kept = make_sample(blob(1.0, 1, 1, 2, 2), boxes, (4, 5))
    metrics = evaluate([kept], outside_boxes='keep')
    # 9 of 15 pixels.
    assert metrics['MaxBoxAcc'] == 100
    assert metrics['MaxBoxAccV2@0.7'] == 0


def test_bad_settings():
    with pytest.raises(ValueError, match="must be 'error' or 'keep', got 'c"):
        MaxBoxAccMetric(outside_boxes='clip')
    with pytest.raises(ValueError, match='iou_thresholds must not be empty'):
        MaxBoxAccMetric(iou_thresholds=())
    with pytest.raises(ValueError, match='thresholds must not be empty'):
        MaxBoxAccMetric(thresholds=())
    with pytest.raises(ValueError, match='topk must list positive numbers'):
        MaxBoxAccMetric(topk=(0,))
    with pytest.raises(ValueError, match='average must be one of'):
        PxAPMetric(average='pixel')
    with pytest.raises(ValueError, match='thresholds must not be empty'):
        PxAPMetric(thresholds=[])


def pixels(samples, **kwargs):
    return evaluate(samples, 'PxAPMetric', **kwargs)


def masked(score_map, mask, key='gt_loc_mask', name='a/1'):
    sample = WSLDataSample(metainfo=dict(img_id=name, ori_shape=mask.shape))
    sample.set_gt_label([1], 3)
    sample.pred_score_map = PixelData(data=torch.as_tensor(score_map)[None])
    setattr(sample, key, PixelData(data=torch.as_tensor(mask)[None].long()))
    return sample


# Two images of 4 x 5 pixels. In the first the object has 0.8 and 0.4, all
# else 0; in the second the object has 0.4 and a part of the rest 0.8.
FIRST, SECOND = np.zeros((2, 4, 5), np.float32)
FIRST[0, :2], FIRST[1, :2] = 0.8, 0.4
SECOND[0, :4], SECOND[3, :4] = 0.4, 0.8
MASKS = [(FIRST > 0).astype(np.int64), (SECOND == 0.4).astype(np.int64)]
SAMPLES = [
    masked(FIRST, MASKS[0]),
    masked(SECOND, MASKS[1]),
]


def test_pixels_of_maps_of_four_by_five():
    metrics = pixels(SAMPLES)
    # Above 0.4 2 of 6 predicted pixels and of 8 are right, up to 0.4 8 of 12,
    # at 0 8 of 40.
    assert metrics['PxAP'] == pytest.approx(
        100 * (2 / 8 * 2 / 6 + 6 / 8 * 8 / 12), abs=0.01
    )
    # At 0.4 the images have 1 and 4 / 8.
    assert metrics['pIoU'] == 75


def test_iou_of_the_pixels_of_all_images():
    metrics = pixels(SAMPLES, average='dataset')
    assert metrics['pIoU'] == pytest.approx(100 * 8 / 12, abs=0.01)
    # The lowest of the best thresholds.
    assert metrics['pixel_threshold'] == 0.001
    assert metrics['PxAP'] == pixels(SAMPLES)['PxAP']


def test_ignored_pixels_are_left_out():
    mask = MASKS[1].copy()
    mask[3] = 255
    metrics = pixels([SAMPLES[0], masked(SECOND, mask)])
    assert metrics['pIoU'] == 100
    assert metrics['PxAP'] == 100


def test_class_masks_serve_too():
    masks = [mask * 2 for mask in MASKS]
    # Another class is background, the ignored pixels stay ignored.
    masks[0][3, 4], masks[1][3, 4] = 1, 255
    given = [
        masked(score_map, mask, 'gt_sem_seg')
        for score_map, mask in zip((FIRST, SECOND), masks)
    ]
    expected = pixels(SAMPLES)
    found = pixels(given)
    assert found['PxAP'] == expected['PxAP']
    assert found['pIoU'] == expected['pIoU']


def test_masks_are_brought_to_the_map_by_nearest_neighbour():
    large = [mask.repeat(3, 0).repeat(2, 1) for mask in MASKS]
    samples = [
        masked(score_map, mask)
        for score_map, mask in zip((FIRST, SECOND), large)
    ]
    assert pixels(samples) == pixels(SAMPLES)


def test_maps_are_brought_to_the_published_size():
    score_map = torch.zeros(8, 8)
    score_map[2:6, 2:6] = 0.7
    mask = np.zeros((80, 80), np.int64)
    mask[20:60, 20:60] = 1
    metrics = pixels([masked(score_map, mask)], size=224)
    assert metrics['pIoU'] > 95
    assert metrics['PxAP'] > 99


def test_an_image_without_object_among_others():
    empty = masked(FIRST, np.full((4, 5), 255))
    for average in ('dataset', 'image'):
        metrics = pixels([*SAMPLES, empty], average=average)
        assert metrics == pixels(SAMPLES, average=average)


@pytest.mark.parametrize(
    ('sample', 'message'),
    [
        (masked(FIRST * 2, MASKS[0]), r'a/1: score map must be in'),
        (masked(FIRST * np.nan, MASKS[0]), 'a/1: .* without NaN'),
        (masked(FIRST, MASKS[0] * 3), 'a/1: mask holds values other'),
        (masked(FIRST, MASKS[0], 'gt_x'), 'a/1: no gt_sem_seg'),
        (masked(FIRST, MASKS[0] * 0), 'no mask shows an object'),
    ],
)
def test_bad_masks(sample, message):
    with pytest.raises(ValueError, match=message):
        pixels([sample])


@pytest.mark.parametrize('value', [0.0, 0.5, 1.0])
def test_a_constant_map_has_the_share_of_the_object(value):
    mask = MASKS[0].copy()
    mask[3] = 255
    metrics = pixels([masked(np.full((4, 5), value, np.float32), mask)])
    assert metrics['PxAP'] == pytest.approx(100 * 4 / 15, abs=0.01)
    with pytest.raises(ValueError, match='no mask shows an object'):
        pixels([masked(FIRST, np.zeros((4, 5), np.int64))])


@pytest.mark.parametrize('ignored', [0.0, 1.0])
def test_a_perfect_map_whatever_is_in_ignored_pixels(ignored):
    mask = MASKS[0].copy()
    mask[3] = 255
    perfect = np.where(mask == 255, ignored, mask).astype(np.float32)
    assert pixels([masked(perfect, mask)])['PxAP'] == 100


def test_labels_that_are_no_class():
    one = make_sample(FIRST, [[0, 0, 1, 1]], (4, 5), score=None)
    for sample, kind in ((one, evaluate), (masked(FIRST, MASKS[0]), pixels)):
        sample.set_gt_label([3], 4)
        with pytest.raises(ValueError, match=r'a/1: gt_label \[3\] is not'):
            kind([sample])


def test_results_of_an_image_are_small():
    metric = MaxBoxAccMetric(size=None)
    sample = make_sample(blob(1.0, 1, 1, 2, 2), [[1, 1, 3, 3]], (4, 5))
    metric.process(None, [sample.to_dict()])
    assert metric.results[0]['right'].nbytes == 4 * 125
    metric = PxAPMetric()
    mask = np.zeros((224, 224), np.int64)
    mask[:3] = 1
    metric.process(None, [masked(torch.rand(224, 224), mask).to_dict()])
    assert metric.results[0].shape == (2, 1002)
    assert metric.results[0].sum() == 224 * 224
    assert metric.results[0].nbytes <= 2 * 2 * 1002
