import pytest
from mmengine.evaluator import Evaluator

from mmwsl.evaluation import AccuracyMetric
from mmwsl.structures import WSLDataSample


def sample(scores, labels):
    result = WSLDataSample(metainfo={'img_id': 'a'})
    return result.set_pred_score(scores).set_gt_label(labels, len(scores))


def test_known_answer_through_the_evaluator():
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


def test_rejects():
    with pytest.raises(ValueError, match='a: accuracy needs one label'):
        AccuracyMetric().process(None, [sample([0.1, 0.9], [0, 1]).to_dict()])
    with pytest.raises(ValueError, match='topk'):
        AccuracyMetric(topk=())
    with pytest.raises(ValueError, match='no image'):
        AccuracyMetric().compute_metrics([])
