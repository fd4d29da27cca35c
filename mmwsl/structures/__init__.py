"""Data carriers."""

from mmwsl.structures.proposals import Proposals
from mmwsl.structures.wsl_data_sample import WSLDataSample

__all__ = ['Proposals', 'WSLDataSample']
