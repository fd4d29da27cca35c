import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData

from mmwsl.evaluation import PxAPMetric
from mmwsl.structures import WSLDataSample


def make_sample(score_map, mask, key='gt_loc_mask', name='a/1'):
    sample = WSLDataSample(metainfo=dict(img_id=name, ori_shape=mask.shape))
    sample.set_gt_label([1], 3)
    sample.pred_score_map = PixelData(data=torch.as_tensor(score_map)[None])
    setattr(sample, key, PixelData(data=torch.as_tensor(mask)[None].long()))
    return sample


def evaluate(samples, **kwargs):
    kwargs.setdefault('size', None)
    evaluator = Evaluator([dict(type='PxAPMetric', **kwargs)])
    evaluator.dataset_meta = dict(classes=('cat', 'dog', 'cow'))
    for sample in samples:
        evaluator.process([sample])
    return evaluator.evaluate(len(samples))


# Two images of 4 x 5 pixels. In the first the object has 0.8 and 0.4, all
# else 0; in the second the object has 0.4 and a part of the rest 0.8.
FIRST, SECOND = np.zeros((2, 4, 5), np.float32)
FIRST[0, :2], FIRST[1, :2] = 0.8, 0.4
SECOND[0, :4], SECOND[3, :4] = 0.4, 0.8
MASKS = [(FIRST > 0).astype(np.int64), (SECOND == 0.4).astype(np.int64)]
SAMPLES = [
    make_sample(FIRST, MASKS[0]),
    make_sample(SECOND, MASKS[1]),
]


def test_known_answers_on_maps_of_four_by_five():
    metrics = evaluate(SAMPLES)
    # Above 0.4 2 of 6 predicted pixels and of 8 are right, up to 0.4 8 of 12,
    # at 0 8 of 40.
    assert metrics['PxAP'] == pytest.approx(
        100 * (2 / 8 * 2 / 6 + 6 / 8 * 8 / 12), abs=0.01
    )
    # At 0.4 the images have 1 and 4 / 8.
    assert metrics['pIoU'] == 75


def test_iou_of_the_pixels_of_all_images():
    metrics = evaluate(SAMPLES, average='dataset')
    assert metrics['pIoU'] == pytest.approx(100 * 8 / 12, abs=0.01)
    # The lowest of the best thresholds.
    assert metrics['pixel_threshold'] == 0.001
    assert metrics['PxAP'] == evaluate(SAMPLES)['PxAP']


def test_ignored_pixels_are_left_out():
    mask = MASKS[1].copy()
    mask[3] = 255
    metrics = evaluate([SAMPLES[0], make_sample(SECOND, mask)])
    assert metrics['pIoU'] == 100
    assert metrics['PxAP'] == 100


def test_class_masks_serve_too():
    masks = [mask * 2 for mask in MASKS]
    # Another class is background, the ignored pixels stay ignored.
    masks[0][3, 4], masks[1][3, 4] = 1, 255
    given = [
        make_sample(score_map, mask, 'gt_sem_seg')
        for score_map, mask in zip((FIRST, SECOND), masks)
    ]
    expected = evaluate(SAMPLES)
    found = evaluate(given)
    assert found['PxAP'] == expected['PxAP']
    assert found['pIoU'] == expected['pIoU']
    named = make_sample(FIRST, masks[0], 'gt_other')
    assert evaluate([named], gt_key='gt_other')['pIoU'] == 100


def test_masks_are_brought_to_the_map_by_nearest_neighbour():
    large = [mask.repeat(3, 0).repeat(2, 1) for mask in MASKS]
    samples = [
        make_sample(score_map, mask)
        for score_map, mask in zip((FIRST, SECOND), large)
    ]
    assert evaluate(samples) == evaluate(SAMPLES)


def test_maps_are_brought_to_the_published_size():
    score_map = torch.zeros(8, 8)
    score_map[2:6, 2:6] = 0.7
    mask = np.zeros((80, 80), np.int64)
    mask[20:60, 20:60] = 1
    metrics = evaluate([make_sample(score_map, mask)], size=224)
    assert metrics['pIoU'] > 95
    assert metrics['PxAP'] > 99


def test_results_of_an_image_are_small():
    metric = PxAPMetric()
    mask = np.zeros((224, 224), np.int64)
    mask[:3] = 1
    sample = make_sample(torch.rand(224, 224), mask)
    metric.process(None, [sample.to_dict()])
    assert metric.results[0].shape == (2, 1002)
    assert metric.results[0].sum() == 224 * 224
    assert metric.results[0].nbytes <= 2 * 2 * 1002


def test_an_image_without_object_among_others():
    empty = make_sample(FIRST, np.full((4, 5), 255))
    for average in ('dataset', 'image'):
        metrics = evaluate([*SAMPLES, empty], average=average)
        assert metrics == evaluate(SAMPLES, average=average)


@pytest.mark.parametrize(
    ('sample', 'message'),
    [
        (make_sample(FIRST * 2, MASKS[0]), r'a/1: score map must be in'),
        (make_sample(FIRST * np.nan, MASKS[0]), 'a/1: .* without NaN'),
        (make_sample(FIRST, MASKS[0] * 3), 'a/1: mask holds values other'),
        (make_sample(FIRST, MASKS[0], 'gt_x'), 'a/1: no gt_sem_seg'),
        (make_sample(FIRST, MASKS[0] * 0), 'no mask shows an object'),
    ],
)
def test_bad_samples(sample, message):
    with pytest.raises(ValueError, match=message):
        evaluate([sample])


def test_bad_settings_and_no_image():
    with pytest.raises(ValueError, match='average must be one of'):
        PxAPMetric(average='pixel')
    with pytest.raises(ValueError, match='thresholds must not be empty'):
        PxAPMetric(thresholds=[])
    with pytest.raises(ValueError, match='no image to score'):
        PxAPMetric().compute_metrics([])


def test_label_that_is_no_class():
    sample = make_sample(FIRST, MASKS[0]).set_gt_label([3], 4)
    with pytest.raises(ValueError, match=r'a/1: gt_label \[3\] is not in 0'):
        evaluate([sample])


@pytest.mark.parametrize('value', [0.0, 0.5, 1.0])
def test_a_constant_map_has_the_share_of_the_object(value):
    mask = MASKS[0].copy()
    mask[3] = 255
    metrics = evaluate([make_sample(np.full((4, 5), value, np.float32), mask)])
    assert metrics['PxAP'] == pytest.approx(100 * 4 / 15, abs=0.01)
    with pytest.raises(ValueError, match='no mask shows an object'):
        evaluate([make_sample(FIRST, np.zeros((4, 5), np.int64))])


@pytest.mark.parametrize('ignored', [0.0, 1.0])
def test_a_perfect_map_whatever_is_in_ignored_pixels(ignored):
    mask = MASKS[0].copy()
    mask[3] = 255
    perfect = np.where(mask == 255, ignored, mask).astype(np.float32)
    assert evaluate([make_sample(perfect, mask)])['PxAP'] == 100
