"""Losses: a pure function and a thin module each."""

from mmwsl.models.losses.classification_losses import (
    CrossEntropyLoss,
    MultiLabelSoftMarginLoss,
    multi_label_soft_margin_loss,
)
from mmwsl.models.losses.dal_loss import DALLoss
from mmwsl.models.losses.dann_loss import DANNLoss
from mmwsl.models.losses.density_losses import (
    CountLoss,
    RankingLoss,
    SpatialLoss,
    count_loss,
    ranking_loss,
    spatial_loss,
)
from mmwsl.models.losses.integral_attention_loss import (
    IntegralAttentionLoss,
    integral_attention_loss,
)
from mmwsl.models.losses.mmd_loss import MMDLoss, mmd

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
    'spatial_loss',
]
