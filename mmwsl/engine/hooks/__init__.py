"""Hooks."""

from mmwsl.engine.hooks.epoch_seed_hook import EpochSeedHook
from mmwsl.engine.hooks.visualization_hook import WSLVisualizationHook

__all__ = ['EpochSeedHook', 'WSLVisualizationHook']
