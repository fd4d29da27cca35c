from functools import partial

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData

import metric_runs
from mmwsl.evaluation import InstanceAPMetric
from mmwsl.structures import WSLDataSample


def masks(*ranges):
    """Masks of 1 x 10 pixels, each from a first to behind a last one."""
    stack = torch.zeros(len(ranges), 1, 10, dtype=torch.bool)
    for mask, (start, stop) in zip(stack, ranges):
        mask[:, start:stop] = True
    return stack


def sample(pred, gt, seg=None):
    """Lists of class, range and score, and of class, range, difficult."""
    result = WSLDataSample(metainfo={'img_id': 'a/b'})
    result.pred_instances = InstanceData(
        labels=torch.tensor([x[0] for x in pred], dtype=torch.long),
        masks=masks(*(x[1] for x in pred)),
        scores=torch.tensor([x[2] for x in pred], dtype=torch.float),
    )
    result.gt_instances = InstanceData(
        labels=torch.tensor([x[0] for x in gt], dtype=torch.long),
        masks=masks(*(x[1] for x in gt)),
        difficult=torch.tensor([x[2] for x in gt], dtype=torch.bool),
    )
    if seg is not None:
        result.gt_sem_seg = PixelData(data=torch.tensor([[seg]]))
    return result


evaluate = partial(metric_runs.evaluate, 'InstanceAPMetric')


SAMPLES = [
    (
        [(0, (0, 4), 0.9), (0, (0, 2), 0.8), (0, (5, 8), 0.7)],
        [(0, (0, 4), False), (0, (5, 10), False)],
    ),
    (
        [(1, (0, 5), 0.9), (1, (5, 9), 0.5), (2, (0, 1), 0.4)],
        [(1, (0, 5), True), (1, (5, 10), False)],
    ),
]


def test_known_answer_through_the_evaluator(messages):
    metrics = evaluate([sample(*x) for x in SAMPLES])
    # Cat: 5/6, 5/6, 1/2, overlaps 1 and 0.6. Dog: found with 0.8, beside a
    # difficult one. Cow has no instance.
    assert metrics == {
        'mAP_r@0.25': 91.67,
        'mAP_r@0.50': 91.67,
        'mAP_r@0.75': 75.0,
        'ABO': 80.0,
    }
    assert '3 of 4 objects used' in messages[0]
    cow = next(x for x in messages[0].splitlines() if 'cow' in x)
    assert cow.split()[3::2] == ['0', '1', '-', '-', '-', '-']


def test_thresholds_and_prefix():
    metrics = evaluate(
        [sample(*x) for x in SAMPLES],
        thresholds=[0.9],
        prefix='inst',
        per_class=False,
    )
    assert metrics == {'inst/mAP_r@0.90': 25.0, 'inst/ABO': 80.0}


def test_results_are_small_and_one_an_image():
    metric = InstanceAPMetric()
    metric.process(None, [sample(*x).to_dict() for x in SAMPLES])
    assert len(metric.results) == 2
    arrays = [x for match, _ in metric.results for x in match]
    assert max(np.size(x) for x in arrays) <= 9
    assert all(x.base is None for x in arrays)


def test_single_objects_take_the_class_mask(messages):
    # One dog on pixels 0-3 and two cats, whose mask is no instance's; the
    # last two pixels are ignored.
    seg = [2, 2, 2, 2, 1, 1, 1, 0, 255, 255]
    one = sample(
        [(1, (0, 5), 0.9), (0, (4, 7), 0.9), (1, (8, 10), 0.1)],
        [(0, (4, 5), False), (0, (5, 7), False), (1, (0, 1), False)],
        seg,
    )
    one.gt_instances.pop('masks')
    metrics = evaluate([one], masks='single')
    assert metrics['ABO'] == 80
    assert metrics['mAP_r@0.75'] == 100
    assert '1 of 3 objects used' in messages[0]
    # Cats are neither missed nor false.
    cat = next(x for x in messages[0].splitlines() if 'cat' in x)
    assert cat.split()[3:6:2] == ['0', '0']


def test_single_object_without_pixels_is_left_out(messages):
    one = sample([(1, (0, 5), 0.9)], [(1, (0, 1), False)], [0] * 10)
    metrics = evaluate([one], masks='single')
    assert np.isnan(list(metrics.values())).all()
    assert '0 of 1 objects used' in messages[0]
    # Nor is an image without any single object a problem.
    cats = [(0, (0, 1), False), (0, (2, 3), False)]
    evaluate([sample([], cats, [0] * 10)], masks='single')
    assert '0 of 2 objects used' in messages[1]


def test_parts_of_class_maps():
    """Two cats side by side, and a dog that is not predicted."""
    one = sample([], [(0, (0, 4), False), (0, (6, 10), False)])
    del one.pred_instances
    one.set_pred_score([0.5, 0.25, 0.9]).set_pred_label([0, 2])
    cat = [0.5, 0.5, 0.5, 1, 0.2, 0.1, 0.6, 0.6, 0.25, 0]
    one.pred_maps = PixelData(data=torch.tensor([[cat], [[1.0] * 10]]))
    one.pred_map_labels = torch.tensor([0, 1])
    metrics = evaluate([one], parts=0.3)
    # Overlaps 1 and 0.5; nothing of the dog.
    assert metrics['ABO'] == 75
    assert metrics['mAP_r@0.50'] == 100
    assert metrics['mAP_r@0.75'] == 50
    # A single part covers both.
    assert evaluate([one], parts=0.0, per_class=False)['mAP_r@0.50'] == 0
    one.set_pred_label([])
    assert set(evaluate([one], parts=0.3).values()) == {0.0}
    del one.pred_label
    with pytest.raises(ValueError, match='a/b: no pred_label: the model'):
        evaluate([one], parts=0.3)


def test_no_predictions_and_no_objects():
    nothing = sample([], SAMPLES[0][1])
    empty = sample(SAMPLES[0][0], [])
    metrics = evaluate([nothing, empty])
    assert set(metrics.values()) == {0.0}


@pytest.mark.parametrize(
    ('key', 'message'),
    [
        ('pred_instances', "the model must predict instances .*'PRMHead'"),
        ('gt_instances', r"LoadEvalAnnotations.*\('gt_instances',\)"),
    ],
)
def test_missing_field_names_what_provides_it(key, message):
    data = sample(*SAMPLES[0]).to_dict()
    del data[key]
    with pytest.raises(ValueError, match=f'^a/b: no {key}: .*{message}'):
        InstanceAPMetric().process(None, [data])


def test_missing_masks_name_both_ways_out():
    one = sample(*SAMPLES[0])
    one.gt_instances.pop('masks')
    with pytest.raises(ValueError, match="^a/b: .*with_masks=True.*'single'"):
        evaluate([one])
    with pytest.raises(ValueError, match='^a/b: no gt_sem_seg'):
        evaluate([one], masks='single')


def test_class_outside_the_dataset():
    with pytest.raises(ValueError, match='4 classes, the dataset has 3'):
        evaluate([sample([(3, (0, 5), 0.9)], [])])


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'masks': 'boxes'}, 'masks must be one of'),
        ({'thresholds': []}, 'thresholds'),
        ({'thresholds': [0]}, 'thresholds'),
        ({'parts': 1}, 'parts must be in'),
    ],
)
def test_rejects_settings(kwargs, message):
    with pytest.raises(ValueError, match=message):
        InstanceAPMetric(**kwargs)
