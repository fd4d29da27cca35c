_base_ = [
    '../_base_/models/cam_mobilenet-v2.py',
    '../_base_/datasets/voc12-2007_320.py',
    '../_base_/schedules/adamw_12e.py',
    '../_base_/default_runtime.py',
]
# Whole images, always of one size: see the README.
train_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='Resize', scale=(320, 320)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='ColorJitter', brightness=0.3, contrast=0.3, saturation=0.3),
    dict(type='PackWSLInputs'),
]
test_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='Resize', scale=(320, 320)),
    dict(type='PackWSLInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=16, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
model = dict(
    head=dict(
        type='DensityHead',
        # Few images: most of the features are dropped in training, and a
        # count as mean of many cells does not jump with every step.
        hidden_channels=128,
        dropout=0.7,
        count_reduction='mean',
        # Nearly all of these few images are needed to learn the counts of
        # the classes that are there: five sixths of the epochs.
        spatial_start_epoch=None,
        instances=False,
    ),
    test_cfg=dict(_delete_=True),
)
custom_hooks = [dict(type='EpochSeedHook'), dict(type='HeadEpochHook')]
val_evaluator = [dict(type='CountMetric'), dict(type='MultiLabelMetric')]
test_evaluator = val_evaluator
