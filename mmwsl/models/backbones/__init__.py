"""Backbones: any CNN of torchvision or timm, by one wrapper each."""

from mmwsl.models.backbones.multi_scale import MultiScaleBackbone
from mmwsl.models.backbones.timm import TimmBackbone
from mmwsl.models.backbones.torchvision import TorchvisionBackbone

__all__ = ['MultiScaleBackbone', 'TimmBackbone', 'TorchvisionBackbone']
