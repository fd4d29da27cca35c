from functools import partial

import pytest
import torch
from mmengine.evaluator import Evaluator

import metric_runs
from mmwsl.evaluation import AccuracyMetric, MultiLabelMetric
from mmwsl.structures import WSLDataSample


def sample(scores, labels, difficult=None):
    result = WSLDataSample(metainfo={'img_id': 'a/b'})
    result.set_pred_score(scores).set_gt_label(labels, len(scores))
    if difficult is not None:
        result.set_gt_label_difficult(difficult)
    return result


evaluate = partial(metric_runs.evaluate, 'MultiLabelMetric')


SAMPLES = [
    ([0.9, 0.1, 0.6], [0, 1]),
    ([0.6, 0.7, 0.2], [1]),
    ([0.2, 0.4, 0.1], [0]),
]


def test_known_answer_through_the_evaluator():
    metrics = evaluate([sample(*x) for x in SAMPLES])
    # See test_multilabel_scores_known_answer for the counts.
    assert metrics == {
        'mAP': 83.33,
        'mF1': 58.33,
        'precision': 50.0,
        'recall': 50.0,
        'F1': 50.0,
    }


def test_difficult_classes_are_left_out_of_their_image():
    samples = [
        sample([0.9, 0.1, 0.0], [1], [0]),
        sample([0.6, 0.7, 0.0], [0, 1], []),
    ]
    assert evaluate(samples)['mAP'] == 100
    # Counted as absent the first image outranks the only positive.
    assert evaluate(samples, ignore_difficult=False)['mAP'] == 75


def test_absent_class_is_left_out_with_one_warning(messages):
    metrics = evaluate([sample([0.9, 0.2, 0.2], [0, 1])])
    assert metrics['mAP'] == 100
    warnings = [x for x in messages if 'left out of the means' in x]
    assert len(warnings) == 1
    assert '1 of 3 classes' in warnings[0]
    assert 'cow' in warnings[0]


def test_table_has_a_line_for_each_class(messages):
    evaluate([sample(*x) for x in SAMPLES], prefix='p')
    table = next(x for x in messages if 'AP' in x)
    row = next(x for x in table.splitlines() if 'dog' in x)
    assert row.split()[1::2] == [
        'dog',
        '2',
        '83.33',
        '100.00',
        '50.00',
        '66.67',
    ]
    assert 'cow' in table
    assert 'mean' in table


def test_prefix_and_images_without_label():
    metrics = evaluate(
        [sample([0.9, 0.2, 0.1], [0]), sample([0.8, 0.1, 0.1], [])],
        prefix='cls',
    )
    assert metrics['cls/mAP'] == 100
    assert metrics['cls/precision'] == 50


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'pred_score': None}, 'a/b: no pred_score: the model must predict'),
        ({'gt_label': None}, 'a/b: no gt_label: .*PackWSLInputs'),
        ({'gt_label': torch.tensor([3])}, r'a/b: gt_label \[3\] is not in'),
        ({'pred_score': torch.tensor([0.1, float('nan')])}, 'a/b: .*finite'),
    ],
)
def test_bad_samples_name_image_and_field(change, message):
    data = {**sample([0.1, 0.2, 0.3], [0]).to_dict(), **change}
    with pytest.raises(ValueError, match=message):
        MultiLabelMetric().process(None, [data])


def test_other_number_of_classes():
    with pytest.raises(ValueError, match='3 classes, the dataset has 2'):
        evaluate([sample(*x) for x in SAMPLES], classes=('a', 'b'))


def test_accuracy_known_answer_through_the_evaluator():
    evaluator = Evaluator(dict(type='AccuracyMetric', topk=(1, 2, 5)))
    samples = [
        sample([0.7, 0.2, 0.1], [0]),
        sample([0.7, 0.2, 0.1], [1]),
        sample([0.1, 0.2, 0.7], [0]),
        sample([0.4, 0.5, 0.1], [1]),
    ]
    evaluator.process(samples)
    # Three classes: top 5 says nothing and is left out.
    assert evaluator.evaluate(4) == {'top1': 50.0, 'top2': 75.0}


def test_accuracy_rejects():
    with pytest.raises(ValueError, match='a/b: accuracy needs one label'):
        AccuracyMetric().process(None, [sample([0.1, 0.9], [0, 1]).to_dict()])
    with pytest.raises(ValueError, match='topk'):
        AccuracyMetric(topk=())
