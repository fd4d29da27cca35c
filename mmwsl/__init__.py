"""mmwsl: weakly supervised vision as an OpenMMLab plugin."""

from mmwsl.version import __version__

__all__ = ['__version__']
