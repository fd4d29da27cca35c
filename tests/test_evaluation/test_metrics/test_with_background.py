import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData

from mmwsl.structures import WSLDataSample

CLASSES = ('cat', 'dog')
PALETTE = [[1, 2, 3], [4, 5, 6]]


def sample():
    result = WSLDataSample(metainfo={'img_id': 'a', 'img_path': 'a.jpg'})
    result.pred_sem_seg = PixelData(data=torch.tensor([[[0, 1, 2, 2]]]))
    result.gt_sem_seg = PixelData(data=torch.tensor([[[0, 1, 2, 1]]]))
    return result


def evaluate(metric, classes):
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = {'classes': classes, 'palette': PALETTE}
    evaluator.process([sample()])
    return evaluator.evaluate(1), evaluator


def test_mmseg_metric_reads_our_samples_unchanged():
    pytest.importorskip('mmseg')
    metrics, _ = evaluate(
        dict(type='mmseg.IoUMetric'), ('background', *CLASSES)
    )
    # Background 1, cat 1 / 2, dog 1 / 2.
    assert metrics['mIoU'] == pytest.approx(66.67)


def test_wrapper_gives_it_the_background_class():
    pytest.importorskip('mmseg')
    metrics, evaluator = evaluate(
        dict(type='WithBackground', metric=dict(type='mmseg.IoUMetric')),
        CLASSES,
    )
    assert metrics['mIoU'] == pytest.approx(66.67)
    assert evaluator.metrics[0].dataset_meta == {
        'classes': ('background', 'cat', 'dog'),
        'palette': [[0, 0, 0], *PALETTE],
    }
