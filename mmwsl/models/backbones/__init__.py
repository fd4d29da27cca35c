"""Backbones: any CNN of torchvision or timm, by one wrapper each."""

from .timm import TimmBackbone
from .torchvision import TorchvisionBackbone

__all__ = ['TimmBackbone', 'TorchvisionBackbone']
