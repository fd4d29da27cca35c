"""Metrics for mmengine's evaluator."""

from mmwsl.evaluation.metrics.accuracy_metric import AccuracyMetric
from mmwsl.evaluation.metrics.count_metric import CountMetric
from mmwsl.evaluation.metrics.instance_ap_metric import InstanceAPMetric
from mmwsl.evaluation.metrics.max_box_acc_metric import MaxBoxAccMetric
from mmwsl.evaluation.metrics.multi_label_metric import MultiLabelMetric
from mmwsl.evaluation.metrics.prm_quality_metric import PRMQualityMetric
from mmwsl.evaluation.metrics.pseudo_label_writer import PseudoLabelWriter
from mmwsl.evaluation.metrics.px_ap_metric import PxAPMetric
from mmwsl.evaluation.metrics.seed_iou_metric import SeedIoUMetric

__all__ = [
    'AccuracyMetric',
    'CountMetric',
    'InstanceAPMetric',
    'MaxBoxAccMetric',
    'MultiLabelMetric',
    'PRMQualityMetric',
    'PseudoLabelWriter',
    'PxAPMetric',
    'SeedIoUMetric',
]
