_base_ = [
    '../_base_/models/dal_r50.py',
    '../_base_/datasets/wsol_openimages.py',
    '../_base_/schedules/wsol_10e.py',
    '../_base_/default_runtime.py',
]
_base_.model.auxiliary[0].assigner.num_classes = 100
_base_.model.auxiliary[0].update(discrepancy_weight=0.2, universum_weight=3.0)
model = dict(
    # The small map.
    backbone=dict(output_stride=16),
    head=dict(num_classes=100),
    auxiliary=_base_.model.auxiliary,
)
custom_hooks = [dict(type='EpochSeedHook'), dict(type='HeadEpochHook')]
