"""Building blocks without parameters of their own kind."""

from mmwsl.models.layers.adl import ADL
from mmwsl.models.layers.peak_backprop import peak_response_maps
from mmwsl.models.layers.peak_stimulation import (
    find_peaks,
    peak_stimulation,
    top_peaks,
)

__all__ = [
    'ADL',
    'find_peaks',
    'peak_response_maps',
    'peak_stimulation',
    'top_peaks',
]
