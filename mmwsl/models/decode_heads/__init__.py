"""Heads of segmentors, for mmseg's EncoderDecoder."""

from mmwsl.models.decode_heads.decode_head import DecodeHead
from mmwsl.models.decode_heads.deeplabv2_head import DeepLabV2Head
from mmwsl.models.decode_heads.large_fov_head import LargeFOVHead
from mmwsl.models.decode_heads.multi_scale_head import MultiScaleHead
from mmwsl.models.decode_heads.psl_head import PSLHead

__all__ = [
    'DecodeHead',
    'DeepLabV2Head',
    'LargeFOVHead',
    'MultiScaleHead',
    'PSLHead',
]
