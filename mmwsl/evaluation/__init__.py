"""Metrics; their arithmetic is in :mod:`mmwsl.evaluation.functional`."""

from mmwsl.evaluation.metrics import (
    AccuracyMetric,
    MultiLabelMetric,
    SeedIoUMetric,
    WithBackground,
)

__all__ = [
    'AccuracyMetric',
    'MultiLabelMetric',
    'SeedIoUMetric',
    'WithBackground',
]
