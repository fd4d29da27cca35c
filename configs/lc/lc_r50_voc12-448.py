_base_ = [
    '../_base_/models/cam_r50.py',
    '../_base_/datasets/voc12_448-objects.py',
    '../_base_/schedules/sgd_halving-300e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(output_stride=32),
    head=dict(
        type='DensityHead', spatial_start_epoch=20, peaks=dict(upsample=8)
    ),
    test_cfg=dict(_delete_=True),
)
custom_hooks = [dict(type='EpochSeedHook'), dict(type='HeadEpochHook')]
val_evaluator = [
    dict(type='CountMetric'),
    dict(type='MultiLabelMetric'),
    dict(type='InstanceAPMetric'),
]
test_evaluator = val_evaluator
