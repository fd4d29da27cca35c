from functools import partial

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData

import metric_runs
from mmwsl.evaluation import PRMQualityMetric
from mmwsl.structures import WSLDataSample

# Two cats and a dog on 1 x 10 pixels.
GT = np.array(
    [
        [[1, 1, 0, 0, 0, 0, 0, 0, 0, 0]],
        [[0, 0, 1, 1, 0, 0, 0, 0, 0, 0]],
        [[0, 0, 0, 0, 0, 1, 1, 1, 1, 0]],
    ],
    bool,
)
LABELS = (0, 0, 1)
# On the first cat, beside the second, and twice on the dog.
PRMS = (
    np.array(
        [
            [[6, 2, 2, 0, 0, 0, 0, 0, 0, 0]],
            [[0, 0, 5, 0, 5, 0, 0, 0, 0, 0]],
            [[0, 0, 0, 0, 3, 7, 0, 0, 0, 0]],
            [[0, 0, 0, 0, 0, 0, 0, 9, 0, 1]],
        ]
    )
    / 10
)
PEAKS = [[0.5, 0.5], [4.5, 0.5], [5.5, 0.5], [8.2, 0.5]]
MAPS = [[[0, 0, 0, 0, 1, 0.5, 0.5, 0, 0, 0.0]]]


def sample(keep=(0, 1, 2, 3), difficult=(0, 0, 0)):
    keep = list(keep)
    result = WSLDataSample(metainfo={'img_id': 'a/b'})
    result.pred_instances = InstanceData(
        labels=torch.tensor([0, 0, 1, 1])[keep],
        peaks=torch.tensor(PEAKS)[keep],
        peak_response_maps=torch.from_numpy(PRMS)[keep],
    )
    result.gt_instances = InstanceData(
        labels=torch.tensor(LABELS),
        masks=torch.from_numpy(GT),
        difficult=torch.tensor(difficult, dtype=torch.bool),
    )
    result.pred_maps = PixelData(data=torch.tensor(MAPS))
    result.pred_map_labels = torch.tensor([1])
    return result


evaluate = partial(
    metric_runs.evaluate, 'PRMQualityMetric', classes=('cat', 'dog')
)


def test_known_answer_through_the_evaluator(messages):
    metrics = evaluate([sample()])
    assert metrics == {
        # 0.8 on the cat, 0.7 and 0.9 on the dog.
        'PRM_quality': 80.0,
        # The second cat's peak lies on the ground.
        'PRM_hit': 75.0,
        # The dog is the only one: its two maps against the class map.
        'PRM_quality_single': 80.0,
        'CAM_quality_single': 50.0,
    }
    assert '3 of 4 on an object; 1 objects compared' in messages[0]
    # The cats take 0.2, the dog 0.4 of the image.
    big = next(x for x in messages[0].splitlines() if '>= 0.2' in x)
    assert big.split()[4::2] == ['3', '80.00']
    number = next(x for x in messages[0].splitlines() if '3 to < 5' in x)
    assert number.split()[6::2] == ['3', '80.00']


def test_best_match_takes_the_object_with_most_response():
    metrics = evaluate([sample(keep=[1])], match='best')
    assert metrics['PRM_quality'] == 50
    assert metrics['PRM_hit'] == 100
    assert np.isnan(metrics['CAM_quality_single'])


def test_difficult_objects_do_not_count():
    metrics = evaluate([sample(difficult=(0, 0, 1))])
    assert (metrics['PRM_quality'], metrics['PRM_hit']) == (80, 50)
    # A difficult cat takes part of the class map.
    one = sample(keep=[0], difficult=(0, 1, 0))
    one.pred_map_labels = torch.tensor([0])
    assert np.isnan(evaluate([one])['CAM_quality_single'])


def test_class_masks_without_their_ignored_pixels():
    one = sample()
    one.gt_instances.pop('masks')
    seg = [[[1, 1, 1, 1, 255, 2, 2, 2, 2, 0]]]
    one.gt_sem_seg = PixelData(data=torch.tensor(seg))
    metrics = evaluate([one], masks='single')
    # The dog's maps: all of 0.7, and 0.9; the class map's 1 is ignored.
    assert metrics['PRM_quality'] == 95
    assert metrics['PRM_hit'] == 100
    assert metrics['CAM_quality_single'] == 100


def test_class_maps_alone(messages):
    """Networks without peaks, whose maps may be of given classes only."""
    one = sample()
    del one.pred_instances
    metrics = evaluate([one], with_responses=False)
    # Of the dog, the only one of its class; cats are two.
    assert metrics == {'CAM_quality_single': 50.0}
    assert 'class maps, of 1 of 1 objects that are the only' in messages[0]
    assert 'CAM quality' in messages[0]
    big = next(x for x in messages[0].splitlines() if '>= 0.2' in x)
    assert big.split()[4::2] == ['1', '50.00']
    # A class without a map, and a map that is 0, are left out and said.
    for change in (
        dict(pred_map_labels=torch.tensor([0])),
        dict(pred_maps=PixelData(data=torch.zeros(1, 1, 10))),
    ):
        other = sample()
        for key, value in change.items():
            setattr(other, key, value)
        assert evaluate([one, other], with_responses=False) == metrics
        assert 'of 1 of 2 objects' in messages[-1]


def test_no_instances():
    metrics = evaluate([sample(keep=[])])
    assert np.isnan(list(metrics.values())).all()
    empty = sample()
    empty.gt_instances = empty.gt_instances[:0]
    assert np.isnan(list(evaluate([empty]).values())).all()
    alone = evaluate([empty], with_responses=False)
    assert np.isnan(alone['CAM_quality_single'])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'pred_instances': None}, 'a/b: no pred_instances'),
        ({'pred_maps': None}, 'a/b: no pred_maps'),
        ({'gt_instances': None}, 'a/b: no gt_instances'),
    ],
)
def test_missing_field(change, message):
    with pytest.raises(ValueError, match=message):
        PRMQualityMetric().process(None, [{**sample().to_dict(), **change}])


def test_rejects_settings():
    with pytest.raises(ValueError, match='match must be one of'):
        PRMQualityMetric(match='nearest')
    with pytest.raises(ValueError, match='masks must be one of'):
        PRMQualityMetric(masks='boxes')
