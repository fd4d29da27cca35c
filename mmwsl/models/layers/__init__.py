"""Building blocks without parameters of their own kind."""

from mmwsl.models.layers.pooling import global_pool

__all__ = ['global_pool']
