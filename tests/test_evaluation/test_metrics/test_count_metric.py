import math
from functools import partial

import pytest
import torch

import metric_runs
from mmwsl.evaluation import CountMetric
from mmwsl.structures import WSLDataSample


def sample(pred, gt):
    result = WSLDataSample(metainfo={'img_id': 'a/b'})
    return result.set_pred_count(pred).set_gt_count(gt)


evaluate = partial(metric_runs.evaluate, 'CountMetric')


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
        # Cat goes up with the truth, dog as well, cow does not vary.
        'correlation': 1,
    }
    for key, value in expected.items():
        assert metrics[key] == pytest.approx(value, abs=1e-4), key
    assert len(metrics) == 9
    # mmengine sums everything that is called a loss.
    assert not [key for key in metrics if 'loss' in key]


def test_tables(messages):
    evaluate([sample(*x) for x in SAMPLES], prefix='count')
    lines = messages[0].splitlines()
    dog = next(x for x in lines if x.startswith('| dog'))
    assert dog.split()[3:10:2] == ['1', '0.707', '1.000', '0.250']
    assert dog.split()[-2] == '1.000'
    assert next(x for x in lines if 'cow' in x).split()[-2] == '-'
    row = next(x for x in lines if x.startswith('| always-0')).split()
    # cat: errors 1 and 2, dog: 7, cow: none.
    expected = (math.sqrt(2.5) + math.sqrt(49 / 2)) / 3
    assert row[3:6:2] == ['3', f'{expected:.3f}']
    many = next(x for x in lines if x.startswith('| 5+'))
    # Of the metric, always-0, always-1 and capped.
    assert many.split()[3:9:2] == ['1', '7.000', '-1.000']
    assert many.split()[9::2] == ['1.000', '7.000', '6.000', '2.000']
    assert not any('train-mean' in line for line in lines)


def table(messages, name):
    lines = '\n'.join(messages).splitlines()
    return next(x for x in lines if x.startswith(f'| {name}')).split()[3::2]


def test_the_columns_follow_max_count(messages):
    samples = [sample(*x) for x in SAMPLES]
    metrics = evaluate(samples, max_count=6, prefix='c')
    assert metrics['c/RMSE@1-6'] == pytest.approx(math.sqrt(2.5), abs=1e-4)
    assert metrics['c/RMSE@7+'] == 1
    # Capped at 7 it knows all.
    assert table(messages, '7+')[-1] == '0.000'
    assert table(messages, '2')[0] == '1'
    messages.clear()
    evaluate(samples, cap=6, max_count=6, per_class=False)
    assert not messages


class _Training:
    metainfo = dict(classes=('dog', 'cow', 'cat'))
    ann_file = 'train.csv'
    counts = ((3, 0, 1), (4, 0, 0))

    def __len__(self):
        return 2

    def get_data_info(self, index):
        return dict(gt_count=torch.tensor(self.counts[index]))


def test_the_means_of_the_training_counts(messages, monkeypatch):
    samples = [sample(*x) for x in SAMPLES]
    evaluate(samples, baseline=[0.5, 3.5, 0])
    # cat: 0.5 and 1.5, dog: 3.5 and 3.5, cow: 0 and 0.
    expected = f'{(math.sqrt(1.25) + 3.5) / 3:.3f}'
    assert table(messages, 'train-mean')[1] == expected
    messages.clear()
    monkeypatch.setattr(
        'mmwsl.evaluation.metrics.count_metric.DATASETS.build',
        lambda config: _Training(),
    )
    evaluate(samples, baseline=dict(type='any'))
    assert table(messages, 'train-mean')[1] == expected
    messages.clear()
    monkeypatch.setattr(_Training, 'metainfo', dict(classes=('dog', 'cow')))
    evaluate(samples, baseline=dict(type='any'))
    assert "no train-mean: baseline: train.csv has no class 'cat'" in messages
    with pytest.raises(ValueError, match='baseline must be 3 finite numbers'):
        evaluate(samples, baseline=[1, 2])


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
