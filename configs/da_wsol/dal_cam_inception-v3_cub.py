_base_ = [
    '../_base_/models/dal_inception-v3.py',
    '../_base_/datasets/wsol_cub.py',
    '../_base_/schedules/wsol_50e.py',
    '../_base_/default_runtime.py',
]
# From the sixth epoch on.
_base_.model.auxiliary[0].start_epoch = 5
model = dict(auxiliary=_base_.model.auxiliary)
optim_wrapper = dict(optimizer=dict(lr=2e-3, weight_decay=5e-4))
custom_hooks = [dict(type='EpochSeedHook'), dict(type='HeadEpochHook')]
