_base_ = [
    '../_base_/models/cam_r18_scratch.py',
    '../_base_/datasets/toy_instances.py',
    '../_base_/schedules/adamw_10e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    # Finer maps: up to ten objects lie close together.
    backbone=dict(output_stride=8),
    # Small maps of a network without pretraining are noisy: their many
    # little peaks would hide the few high ones in the mean.
    head=dict(
        type='PRMHead',
        window=5,
        threshold='mean',
        peaks=dict(min_ratio=0.5),
    ),
)
train_dataloader = dict(batch_size=16)
val_evaluator = [
    dict(type='InstanceAPMetric'),
    dict(type='MultiLabelMetric'),
    dict(type='SeedIoUMetric'),
    dict(type='PRMQualityMetric'),
]
test_evaluator = val_evaluator
