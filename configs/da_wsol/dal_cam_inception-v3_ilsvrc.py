_base_ = [
    '../_base_/models/dal_inception-v3.py',
    '../_base_/datasets/wsol_ilsvrc.py',
    '../_base_/schedules/wsol_10e.py',
    '../_base_/default_runtime.py',
]
_base_.model.auxiliary[0].assigner.num_classes = 1000
_base_.model.auxiliary[0].update(discrepancy_weight=0.1, universum_weight=0.3)
model = dict(
    head=dict(num_classes=1000),
    auxiliary=_base_.model.auxiliary,
)
optim_wrapper = dict(optimizer=dict(weight_decay=5e-4))
custom_hooks = [dict(type='EpochSeedHook'), dict(type='HeadEpochHook')]
