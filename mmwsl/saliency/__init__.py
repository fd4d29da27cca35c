"""Saliency maps without a trained model."""

from mmwsl.saliency.files import read_settings, write_saliency
from mmwsl.saliency.generator import SaliencyGenerator

__all__ = ['SaliencyGenerator', 'read_settings', 'write_saliency']
