"""Necks: what lies between backbone and head."""

from mmwsl.models.necks.graph_reasoning import (
    GraphReasoningNeck,
    GraphReasoningUnit,
)
from mmwsl.models.necks.large_fov import LargeFOVNeck

__all__ = ['GraphReasoningNeck', 'GraphReasoningUnit', 'LargeFOVNeck']
