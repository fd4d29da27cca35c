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
    WithBackground,
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
    'WithBackground',
]
