"""Losses: a pure function and a thin module each."""

from mmwsl.models.losses.dal_loss import (
    DALLoss,
    DANNLoss,
    MMDLoss,
    mmd,
    reverse_gradient,
)
from mmwsl.models.losses.head_losses import (
    CountLoss,
    CrossEntropyLoss,
    IntegralAttentionLoss,
    MultiLabelSoftMarginLoss,
    RankingLoss,
    SpatialLoss,
    count_loss,
    integral_attention_loss,
    multi_label_soft_margin_loss,
    ranking_loss,
    spatial_loss,
)

__all__ = [
    'CountLoss',
    'CrossEntropyLoss',
    'DALLoss',
    'DANNLoss',
    'IntegralAttentionLoss',
    'MMDLoss',
    'MultiLabelSoftMarginLoss',
    'RankingLoss',
    'SpatialLoss',
    'count_loss',
    'integral_attention_loss',
    'mmd',
    'multi_label_soft_margin_loss',
    'ranking_loss',
    'reverse_gradient',
    'spatial_loss',
]
