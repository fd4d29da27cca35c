from .torchvision import TorchvisionBackbone

__all__ = ['TorchvisionBackbone']
