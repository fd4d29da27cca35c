"""Tests of the data sample."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData

from mmwsl.structures import WSLDataSample


def test_gt_label_gives_multi_hot() -> None:
    sample = WSLDataSample().set_gt_label([2, 0], num_classes=4)
    assert sample.gt_label.tolist() == [2, 0]
    assert sample.gt_label.dtype == torch.long
    assert sample.gt_score.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize('labels', [3, [3], np.array([3]), torch.tensor(3)])
def test_gt_label_takes_many_types(labels: object) -> None:
    sample = WSLDataSample().set_gt_label(labels, num_classes=5)
    assert sample.gt_label.tolist() == [3]


def test_no_label_is_allowed() -> None:
    sample = WSLDataSample().set_gt_label([], num_classes=3)
    assert sample.gt_label.dtype == torch.long
    assert sample.gt_score.tolist() == [0, 0, 0]


def test_label_outside_the_classes() -> None:
    with pytest.raises(ValueError, match='class 3, but .* 3 classes'):
        WSLDataSample().set_gt_label([3], num_classes=3)
    with pytest.raises(ValueError, match='negative'):
        WSLDataSample().set_gt_label([-1], num_classes=3)
    with pytest.raises(TypeError, match='integers'):
        WSLDataSample().set_gt_label([0.5], num_classes=3)


def test_counts() -> None:
    assert WSLDataSample().set_gt_count([0, 2]).gt_count.tolist() == [0, 2]
    with pytest.raises(ValueError, match='whole numbers'):
        WSLDataSample().set_gt_count([0, -2])
    with pytest.raises(ValueError, match='whole numbers'):
        WSLDataSample().set_gt_count([0.5, 2])
    for value in (float('nan'), float('inf')):
        with pytest.raises(ValueError, match='whole numbers'):
            WSLDataSample().set_gt_count([value, 2])
    with pytest.raises(ValueError, match=r'shape \(C,\)'):
        WSLDataSample().set_gt_count([[1, 2]])


def test_predictions_and_dict() -> None:
    sample = WSLDataSample(metainfo=dict(img_id='a/b', ori_shape=(4, 5)))
    sample.set_pred_score([0.1, 0.9]).set_pred_label([1])
    sample.set_pred_count(np.array([0.0, 1.2]))
    sample.pred_sem_seg = PixelData(data=torch.zeros(1, 4, 5))
    sample.gt_instances = InstanceData(labels=torch.tensor([1]))
    as_dict = sample.to_dict()
    assert as_dict['img_id'] == 'a/b'
    assert as_dict['pred_score'].dtype == torch.float32
    assert as_dict['pred_sem_seg']['data'].shape == (1, 4, 5)
    assert as_dict['gt_instances']['labels'].tolist() == [1]
    assert sample.cpu().pred_label.tolist() == [1]
