_base_ = [
    '../_base_/models/dal_r50.py',
    '../_base_/datasets/wsol_ilsvrc.py',
    '../_base_/schedules/wsol_10e.py',
    '../_base_/default_runtime.py',
]
_base_.model.auxiliary[0].assigner.num_classes = 1000
_base_.model.auxiliary[0].update(discrepancy_weight=0.3, universum_weight=3.0)
model = dict(
    head=dict(num_classes=1000),
    auxiliary=_base_.model.auxiliary,
)
optim_wrapper = dict(optimizer=dict(lr=1e-5))
custom_hooks = [dict(type='EpochSeedHook'), dict(type='HeadEpochHook')]
