"""Data carriers."""

from mmwsl.structures.wsl_data_sample import WSLDataSample

__all__ = ['WSLDataSample']
