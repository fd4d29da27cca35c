"""From class maps to label maps, as pure functions."""

from mmwsl.pseudo_labels.background import background_score, maps_to_label

__all__ = ['background_score', 'maps_to_label']
