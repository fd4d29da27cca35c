"""Necks: what lies between backbone and head."""

from mmwsl.models.necks.graph_reasoning import (
    GraphReasoningNeck,
    GraphReasoningUnit,
)

__all__ = ['GraphReasoningNeck', 'GraphReasoningUnit']
