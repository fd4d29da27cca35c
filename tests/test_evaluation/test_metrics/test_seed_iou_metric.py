from functools import partial

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData

import metric_runs
from mmwsl.evaluation import SeedIoUMetric
from mmwsl.structures import WSLDataSample

# Background, cat, dog, ignored; the first dog pixel is no body.
MASK = [[0, 1, 2, 2, 255]]
BODY = [[0, 1, 255, 2, 255]]
MAPS = [[[0.3, 0.9, 0.2, 0.2, 1.0]], [[0.1, 0.1, 0.9, 0.4, 0.0]]]


def sample(maps=MAPS, labels=(0, 1), mask=MASK, body=None, img_id='a/b'):
    result = WSLDataSample(metainfo={'img_id': img_id})
    result.set_gt_label([0], 3).set_pred_score([0.9, 0.8, 0.1])
    result.pred_map_labels = torch.tensor(labels, dtype=torch.long)
    result.pred_maps = PixelData(data=torch.tensor(maps))
    result.gt_sem_seg = PixelData(data=torch.tensor([mask]))
    if body is not None:
        result.gt_body_seg = PixelData(data=torch.tensor([body]))
    return result


evaluate = partial(metric_runs.evaluate, 'SeedIoUMetric')


def test_known_answer_through_the_evaluator():
    metrics = evaluate([sample(body=BODY)], thresholds=[0.1, 0.5])
    # 0.1: background is lost to cat: IoU 0, 1/2, 1 -> 50.
    # 0.5: the weak dog pixel is lost to background: 1/2, 1, 1/2 -> 66.67.
    assert metrics == {
        'mIoU': 66.67,
        'mPrecision': 83.33,
        'mRecall': 83.33,
        'best_threshold': 0.5,
        # On bodies: cat 1 of 1, dog 0 of 1.
        'body_recall': 50.0,
    }


def test_default_sweep_finds_the_threshold_between():
    metrics = evaluate([sample()])
    assert metrics['mIoU'] == 100
    assert metrics['best_threshold'] == 0.3
    assert 'body_recall' not in metrics


def test_fixed_threshold():
    metrics = evaluate(
        [sample()],
        thresholds=[0.1, 0.35],
        fixed_threshold=0.5,
        prefix='seed',
    )
    assert metrics['seed/mIoU@fixed'] == 66.67
    assert metrics['seed/best_threshold'] == 0.35


def test_given_labels_drop_other_maps():
    # Only cat is in gt_label: without the dog map its pixels are background.
    metrics = evaluate([sample()], thresholds=[0.5], labels='given')
    assert metrics['mIoU'] == pytest.approx(100 * (1 / 3 + 1) / 3, abs=0.01)


def test_predicted_labels_drop_other_maps():
    one = sample().set_pred_label([1])
    metrics = evaluate([one], thresholds=[0.5], labels='predicted')
    # Without the cat map its pixel is background, as is the weak dog pixel:
    # background 1 of 3, cat 0, dog 1 of 2.
    assert metrics['mIoU'] == pytest.approx(100 * (1 / 3 + 1 / 2) / 3, 0.01)
    with pytest.raises(ValueError, match="must be one of .* got 'all'"):
        evaluate([one], labels='all')


def test_power_background_reports_exponent_and_threshold():
    metrics = evaluate([sample()], background='power', thresholds=[1, 2, 9])
    # (1 - m) ^ 2 equals m at 0.382: between 0.3 and 0.4.
    assert metrics['best_alpha'] == 2
    assert metrics['best_threshold'] == pytest.approx(0.381966, abs=1e-6)
    assert metrics['mIoU'] == 100


def test_saliency_background_is_resized_to_the_mask():
    one = sample()
    saliency = torch.tensor([[[0.1, 0.9, 0.9, 0.9, 0.5]] * 2])
    one.saliency = PixelData(data=saliency)
    metrics = evaluate([one], background='saliency')
    assert metrics == {'mIoU': 100.0, 'mPrecision': 100.0, 'mRecall': 100.0}


def test_no_map_kept():
    empty = sample(maps=np.zeros((0, 1, 5), np.float32), labels=())
    metrics = evaluate([empty, sample()], thresholds=[0.35])
    # Background 2 of 2 + 3 wrong; cat 1 of 2; dog 2 of 4.
    assert metrics['mIoU'] == pytest.approx(100 * (0.4 + 0.5 + 0.5) / 3, 0.01)


def test_table_names_classes_and_bodies(messages):
    evaluate([sample(body=BODY)], thresholds=[0.5])
    table = next(x for x in messages if 'IoU' in x)
    assert 'background 0.5' in table
    rows = {
        x.split()[1]: x.split()[3::2] for x in table.splitlines() if 'd' in x
    }
    assert rows['dog'] == ['50.00', '100.00', '50.00', '0.00']
    cow = next(x for x in table.splitlines() if 'cow' in x)
    assert cow.split()[3::2] == ['-', '-', '-', '-']


@pytest.mark.parametrize(
    ('key', 'message'),
    [
        ('gt_sem_seg', r"LoadEvalAnnotations.*eval_keys=\('gt_sem_seg',\)"),
        ('pred_maps', 'the model must predict class maps'),
        ('pred_map_labels', 'the classes of its pred_maps'),
    ],
)
def test_missing_field_names_what_provides_it(key, message):
    data = {k: v for k, v in sample().to_dict().items() if k != key}
    metric = SeedIoUMetric()
    metric.dataset_meta = {'classes': metric_runs.CLASSES}
    with pytest.raises(ValueError, match=f'^a/b: no {key}: .*{message}'):
        metric.process(None, [data])


def test_missing_saliency():
    with pytest.raises(ValueError, match='^a/b: no saliency: .*pipeline'):
        evaluate([sample()], background='saliency')


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'background': 'none'}, 'background must be'),
        ({'background': 'saliency', 'thresholds': [0.1]}, 'no threshold'),
        ({'labels': 'all'}, 'labels must be'),
        ({'thresholds': []}, 'empty'),
        ({'background': 'power', 'thresholds': [-1]}, 'alphas'),
        ({'out_file': 'a.txt'}, 'json'),
    ],
)
def test_rejects_settings(kwargs, message):
    with pytest.raises(ValueError, match=message):
        SeedIoUMetric(**kwargs)


def test_no_mean_over_background_alone():
    mask = [[0, 255, 255, 255, 0]]
    with pytest.raises(ValueError, match='a/b and 0 more'):
        evaluate([sample(mask=mask)])
    assert evaluate([sample(mask=mask), sample()])['mIoU'] < 100
