_base_ = [
    '../_base_/models/dal_r50.py',
    '../_base_/datasets/wsol_cub.py',
    '../_base_/schedules/wsol_50e.py',
    '../_base_/default_runtime.py',
]
custom_hooks = [dict(type='EpochSeedHook'), dict(type='HeadEpochHook')]
