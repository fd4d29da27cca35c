"""Losses: a pure function and a thin module each."""

from mmwsl.models.losses.classification_losses import (
    CrossEntropyLoss,
    MultiLabelSoftMarginLoss,
    multi_label_soft_margin_loss,
)

__all__ = [
    'CrossEntropyLoss',
    'MultiLabelSoftMarginLoss',
    'multi_label_soft_margin_loss',
]
