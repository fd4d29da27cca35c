"""Data preprocessors and batch augmentations."""

from mmwsl.models.data_preprocessors.wsl_data_preprocessor import (
    CutMix,
    HideAndSeek,
    WSLDataPreprocessor,
)

__all__ = ['CutMix', 'HideAndSeek', 'WSLDataPreprocessor']
