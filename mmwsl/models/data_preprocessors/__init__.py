"""Data preprocessors and batch augmentations."""

from mmwsl.models.data_preprocessors.cut_mix import CutMix
from mmwsl.models.data_preprocessors.hide_and_seek import HideAndSeek
from mmwsl.models.data_preprocessors.wsl_data_preprocessor import (
    WSLDataPreprocessor,
)

__all__ = ['CutMix', 'HideAndSeek', 'WSLDataPreprocessor']
