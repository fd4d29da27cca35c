import math

import pytest
import torch
from mmengine.evaluator import Evaluator

from mmwsl.evaluation import CountMetric
from mmwsl.structures import WSLDataSample

CLASSES = ('cat', 'dog', 'cow')


@pytest.fixture
def messages(monkeypatch):
    """What the metric prints; mmengine's logger keeps it from caplog."""
    printed = []
    monkeypatch.setattr(
        'mmwsl.evaluation.metrics.count_metric.print_log',
        lambda message, **kwargs: printed.append(message),
    )
    return printed


def sample(pred, gt):
    result = WSLDataSample(metainfo={'img_id': 'a/b'})
    return result.set_pred_count(pred).set_gt_count(gt)


def evaluate(samples, **kwargs):
    evaluator = Evaluator(dict(type='CountMetric', **kwargs))
    evaluator.dataset_meta = {'classes': CLASSES}
    for one in samples:
        evaluator.process([one])
    return evaluator.evaluate(len(samples))


SAMPLES = [([0, 0, 1], [1, 0, 0]), ([4, 6, 0], [2, 7, 0])]


def test_known_answer_through_the_evaluator():
    metrics = evaluate([sample(*x) for x in SAMPLES])
    root = math.sqrt
    expected = {
        # Errors 1 and 2 (cat), 0 and 1 of 7 (dog), 1 and 0 (cow).
        'mRMSE': (root(2.5) + root(0.5) + root(0.5)) / 3,
        'mRMSE-nz': (root(2.5) + 1) / 2,
        'm-relRMSE': (root(11 / 12) + root(1 / 16) + root(0.5)) / 3,
        'm-relRMSE-nz': (root(11 / 12) + root(1 / 8)) / 2,
        'bias': (-1 + 1 + 2 - 1) / 6,
        'RMSE@0': root(1 / 3),
        'RMSE@1-4': root(2.5),
        'RMSE@5+': 1,
        'always-0/mRMSE': (root(2.5) + root(49 / 2) + 0) / 3,
        'always-0/RMSE@5+': 7,
        'always-1/mRMSE-nz': (root(1 / 2) + 6) / 2,
        'always-1/m-relRMSE-nz': (root(1 / 3 / 2) + root(36 / 8)) / 2,
        'capped/mRMSE-nz': 2 / 2,
        'capped/RMSE@5+': 2,
    }
    for key, value in expected.items():
        assert metrics[key] == pytest.approx(value, abs=1e-4), key
    assert len(metrics) == 4 * 4 + 5 + 3 - 1
    # mmengine sums everything that is called a loss.
    assert not [key for key in metrics if 'loss' in key]


def test_tables(messages):
    evaluate([sample(*x) for x in SAMPLES], prefix='count')
    lines = messages[0].splitlines()
    dog = next(x for x in lines if x.startswith('| dog'))
    assert dog.split()[3:10:2] == ['1', '0.707', '1.000', '0.250']
    assert next(x for x in lines if 'cow' in x).split()[-2] == '-'
    assert any(x.startswith('| always-1') for x in lines)
    many = next(x for x in lines if x.startswith('| 5+'))
    assert many.split()[3::2] == ['1', '7.000', '-1.000', '1.000', '2.000']


def test_cap_and_prefix(messages):
    metrics = evaluate(
        [sample(*x) for x in SAMPLES], cap=6, per_class=False, prefix='c'
    )
    assert metrics['c/capped/RMSE@5+'] == 1
    assert not messages


def test_difficult_only_class_counts_as_zero():
    one = sample([0, 0, 0], [0, 1, 0]).set_gt_label([0, 1], 3)
    assert evaluate([one])['mRMSE'] == pytest.approx(1 / 3, abs=1e-4)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'pred_count': None}, "a/b: no pred_count: .*'DensityHead'"),
        ({'gt_count': None}, "a/b: no gt_count: .*labels_from='xml'"),
        ({'gt_count': torch.tensor([1, -1, 0])}, 'a/b: gt_count .*-1'),
        ({'gt_count': torch.tensor([1, 0.5, 0])}, 'a/b: gt_count .*0.5'),
        ({'gt_count': torch.tensor([1, 0])}, 'a/b: 3 predicted counts, but'),
        ({'pred_count': torch.tensor([0, math.nan, 0])}, 'a/b: pred_count'),
    ],
)
def test_bad_samples_name_image_and_field(change, message):
    data = {**sample(*SAMPLES[0]).to_dict(), **change}
    with pytest.raises(ValueError, match=message):
        CountMetric().process(None, [data])


def test_other_number_of_classes():
    one = sample([1, 2], [1, 2])
    with pytest.raises(ValueError, match='2 classes, the dataset has 3'):
        evaluate([one])


def test_empty_dataset():
    with pytest.raises(ValueError, match='no image'):
        CountMetric().compute_metrics([])
