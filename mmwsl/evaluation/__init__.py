"""Metrics; their arithmetic is in :mod:`mmwsl.evaluation.functional`."""

from mmwsl.evaluation.metrics import (
    AccuracyMetric,
    CountMetric,
    InstanceAPMetric,
    MaxBoxAccMetric,
    MultiLabelMetric,
    PRMQualityMetric,
    PseudoLabelWriter,
    PxAPMetric,
    SeedIoUMetric,
)

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
