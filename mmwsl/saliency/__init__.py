"""Saliency maps: files, a generator that learns nothing, and networks."""

from mmwsl.saliency.files import read_saliency, read_settings, write_saliency
from mmwsl.saliency.generator import SaliencyGenerator
from mmwsl.saliency.network import NetworkSaliency

__all__ = [
    'NetworkSaliency',
    'SaliencyGenerator',
    'read_saliency',
    'read_settings',
    'write_saliency',
]
