"""Hooks."""

from mmwsl.engine.hooks.assignment_hook import AssignmentVisualizationHook
from mmwsl.engine.hooks.attention_accumulation_hook import (
    AttentionAccumulationHook,
)
from mmwsl.engine.hooks.background_class_hook import BackgroundClassHook
from mmwsl.engine.hooks.dense_crf_hook import DenseCRFHook
from mmwsl.engine.hooks.metric_model_hook import MetricModelHook
from mmwsl.engine.hooks.pseudo_label_guard_hook import PseudoLabelGuardHook
from mmwsl.engine.hooks.run_check_hook import RunCheckHook
from mmwsl.engine.hooks.seed_and_epoch import (
    EpochSeedHook,
    HeadEpochHook,
    LastValidationHook,
)
from mmwsl.engine.hooks.visualization_hook import WSLVisualizationHook

__all__ = [
    'AssignmentVisualizationHook',
    'AttentionAccumulationHook',
    'BackgroundClassHook',
    'DenseCRFHook',
    'EpochSeedHook',
    'HeadEpochHook',
    'LastValidationHook',
    'MetricModelHook',
    'PseudoLabelGuardHook',
    'RunCheckHook',
    'WSLVisualizationHook',
]
