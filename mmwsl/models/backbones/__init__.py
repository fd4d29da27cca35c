"""Backbones: any CNN of torchvision or timm, by one wrapper."""

from mmwsl.models.backbones.graph_backbone import (
    GraphBackbone,
    MultiScaleBackbone,
    TimmBackbone,
    TorchvisionBackbone,
)

__all__ = [
    'GraphBackbone',
    'MultiScaleBackbone',
    'TimmBackbone',
    'TorchvisionBackbone',
]
