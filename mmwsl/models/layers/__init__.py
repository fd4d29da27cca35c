"""Building blocks without parameters of their own kind."""

from mmwsl.models.layers.adl import ADL
from mmwsl.models.layers.peak_backprop import peak_response_maps
from mmwsl.models.layers.peak_stimulation import (
    find_peaks,
    peak_stimulation,
    top_peaks,
)
from mmwsl.models.layers.token_attention import (
    attention_rollout,
    class_attention,
)

__all__ = [
    'ADL',
    'attention_rollout',
    'class_attention',
    'find_peaks',
    'peak_response_maps',
    'peak_stimulation',
    'top_peaks',
]
