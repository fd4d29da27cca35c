"""Metrics for mmengine's evaluator."""

from mmwsl.evaluation.metrics.accuracy_metric import AccuracyMetric
from mmwsl.evaluation.metrics.multi_label_metric import MultiLabelMetric
from mmwsl.evaluation.metrics.seed_iou_metric import SeedIoUMetric
from mmwsl.evaluation.metrics.with_background import WithBackground

__all__ = [
    'AccuracyMetric',
    'MultiLabelMetric',
    'SeedIoUMetric',
    'WithBackground',
]
