_base_ = [
    '../_base_/models/cam_r18_scratch.py',
    '../_base_/datasets/toy_instances.py',
    '../_base_/schedules/adamw_10e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(output_stride=8),
    head=dict(
        type='DensityHead',
        spatial_start_epoch=3,
        # Small maps of a network without pretraining are noisy: their many
        # little peaks would hide the few high ones in the mean.
        window=5,
        threshold='mean',
        peaks=dict(min_ratio=0.5),
    ),
)
train_dataloader = dict(batch_size=16)
custom_hooks = [dict(type='EpochSeedHook'), dict(type='HeadEpochHook')]
val_evaluator = [
    dict(type='CountMetric'),
    dict(type='MultiLabelMetric'),
    dict(type='InstanceAPMetric'),
]
test_evaluator = val_evaluator
