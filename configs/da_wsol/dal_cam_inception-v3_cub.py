_base_ = [
    '../_base_/models/dal_inception-v3.py',
    '../_base_/datasets/wsol_cub.py',
    '../_base_/schedules/wsol_50e.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(dal=dict(start_epoch=5)))
optim_wrapper = dict(optimizer=dict(lr=2e-3, weight_decay=5e-4))
custom_hooks = [dict(type='EpochSeedHook'), dict(type='HeadEpochHook')]
