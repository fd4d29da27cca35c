"""Heads: where the methods differ."""

from mmwsl.models.heads.acol_head import ACoLHead
from mmwsl.models.heads.attention_cam_head import AttentionCAMHead
from mmwsl.models.heads.cam_head import CAMHead
from mmwsl.models.heads.density_head import DensityHead
from mmwsl.models.heads.integral_attention_head import (
    IntegralAttentionHead,
)
from mmwsl.models.heads.layer_cam_head import LayerCAMHead
from mmwsl.models.heads.prm_head import PRMHead

__all__ = [
    'ACoLHead',
    'AttentionCAMHead',
    'CAMHead',
    'DensityHead',
    'IntegralAttentionHead',
    'LayerCAMHead',
    'PRMHead',
]
