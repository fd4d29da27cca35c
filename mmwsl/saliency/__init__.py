"""Saliency maps: files, and a generator without a trained model."""

from mmwsl.saliency.files import read_saliency, read_settings, write_saliency
from mmwsl.saliency.generator import SaliencyGenerator

__all__ = [
    'SaliencyGenerator',
    'read_saliency',
    'read_settings',
    'write_saliency',
]
