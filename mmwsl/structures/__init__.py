"""Data carriers."""

from mmwsl.structures.packed_masks import PackedMasks
from mmwsl.structures.wsl_data_sample import WSLDataSample

__all__ = ['PackedMasks', 'WSLDataSample']
