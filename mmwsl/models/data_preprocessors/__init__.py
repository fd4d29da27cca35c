"""Data preprocessors."""

from mmwsl.models.data_preprocessors.wsl_data_preprocessor import (
    WSLDataPreprocessor,
)

__all__ = ['WSLDataPreprocessor']
