"""Heads of segmentors, for mmseg's EncoderDecoder."""

from mmwsl.models.decode_heads.decode_head import (
    DecodeHead,
    DeepLabV2Head,
    LargeFOVHead,
    MultiScaleHead,
)
from mmwsl.models.decode_heads.psl_head import PSLHead

__all__ = [
    'DecodeHead',
    'DeepLabV2Head',
    'LargeFOVHead',
    'MultiScaleHead',
    'PSLHead',
]
