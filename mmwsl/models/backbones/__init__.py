"""Backbones: any CNN of torchvision or timm, by one wrapper."""

from mmwsl.models.backbones.graph_backbone import (
    CNNBackbone,
    GraphBackbone,
    MultiScaleBackbone,
    TimmBackbone,
    TorchvisionBackbone,
    fill_from_backbone,
)

__all__ = [
    'CNNBackbone',
    'GraphBackbone',
    'MultiScaleBackbone',
    'TimmBackbone',
    'TorchvisionBackbone',
    'fill_from_backbone',
]
