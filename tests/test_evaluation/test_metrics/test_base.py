import numpy as np
import pytest
import torch

from mmwsl.evaluation.metrics.base import WSLMetric, pixels
from mmwsl.utils.arrays import array


def test_array_takes_half_precision():
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        assert array(torch.ones(2, dtype=dtype)).dtype == np.float32
    assert array(torch.ones(2, dtype=torch.float64)).dtype == np.float64
    assert array([1, 2]).tolist() == [1, 2]


def test_pixels_drops_the_channel_of_masks_only():
    sample = {
        'gt_sem_seg': {'data': torch.zeros(1, 2, 3)},
        'pred_maps': {'data': torch.zeros(1, 2, 3)},
    }
    assert pixels(sample, 'gt_sem_seg').shape == (2, 3)
    assert pixels(sample, 'pred_maps').shape == (1, 2, 3)


def test_class_names():
    metric = WSLMetric()
    assert metric.class_names(2) == ['0', '1']
    metric.dataset_meta = {'classes': ('a', 'b')}
    assert metric.class_names(2) == ['a', 'b']
    with pytest.raises(ValueError, match='set num_classes of the head to 2'):
        metric.class_names(3)


def test_no_image():
    with pytest.raises(ValueError, match='no image to score: the dataset is'):
        WSLMetric().compute_metrics([])
