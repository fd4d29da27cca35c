"""From class maps to label maps, as pure functions."""

from mmwsl.pseudo_labels.attention import accumulate_attention
from mmwsl.pseudo_labels.crf import dense_crf
from mmwsl.pseudo_labels.labels import (
    ignore_if_small,
    initial_label,
    keep_ignored,
    non_salient_region_masking,
    potential_object_mining,
)
from mmwsl.pseudo_labels.regions import mine_regions, regions_to_label
from mmwsl.utils.arrays import background_score, maps_to_label

__all__ = [
    'accumulate_attention',
    'background_score',
    'dense_crf',
    'ignore_if_small',
    'initial_label',
    'keep_ignored',
    'maps_to_label',
    'mine_regions',
    'non_salient_region_masking',
    'potential_object_mining',
    'regions_to_label',
]
