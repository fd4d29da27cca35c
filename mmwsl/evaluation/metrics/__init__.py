"""Metrics for mmengine's evaluator."""

from mmwsl.evaluation.metrics.classification import (
    AccuracyMetric,
    MultiLabelMetric,
)
from mmwsl.evaluation.metrics.count_metric import CountMetric
from mmwsl.evaluation.metrics.faithfulness_metric import FaithfulnessMetric
from mmwsl.evaluation.metrics.instance_ap_metric import InstanceAPMetric
from mmwsl.evaluation.metrics.localisation import MaxBoxAccMetric, PxAPMetric
from mmwsl.evaluation.metrics.prm_quality_metric import PRMQualityMetric
from mmwsl.evaluation.metrics.pseudo_label_writer import (
    LabelExportMetric,
    PredictionDump,
    PseudoLabelWriter,
)
from mmwsl.evaluation.metrics.seed_iou_metric import SeedIoUMetric

__all__ = [
    'AccuracyMetric',
    'CountMetric',
    'FaithfulnessMetric',
    'InstanceAPMetric',
    'LabelExportMetric',
    'MaxBoxAccMetric',
    'MultiLabelMetric',
    'PRMQualityMetric',
    'PredictionDump',
    'PseudoLabelWriter',
    'PxAPMetric',
    'SeedIoUMetric',
]
