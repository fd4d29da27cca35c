"""Backbones: CNNs of torchvision and timm, and transformers of timm."""

from mmwsl.models.backbones.graph_backbone import (
    CNNBackbone,
    GraphBackbone,
    MultiScaleBackbone,
    TimmBackbone,
    TorchvisionBackbone,
    fill_from_backbone,
)
from mmwsl.models.backbones.transformer import TransformerBackbone

__all__ = [
    'CNNBackbone',
    'GraphBackbone',
    'MultiScaleBackbone',
    'TimmBackbone',
    'TorchvisionBackbone',
    'TransformerBackbone',
    'fill_from_backbone',
]
