# Counts of own images: tools/train.py CONFIG --cfg-options data_root=DIR
_base_ = [
    '../_base_/models/cam_cnn.py',
    '../_base_/datasets/own.py',
    '../_base_/schedules/adamw_by-data.py',
    '../_base_/default_runtime.py',
]
# Whole images, always of one size: see the README.
train_pipeline = [_base_.load, _base_.whole, *_base_.train_pipeline[2:]]
test_pipeline = [_base_.load, _base_.whole, dict(type='PackWSLInputs')]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=16, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
model = dict(
    head=dict(
        type='DensityHead',
        max_count=None,
        hidden_channels=128,
        dropout=0.7,
        count_reduction='mean',
        # Most of the training learns the counts of the classes that are there.
        spatial_start_epoch=None,
        instances=False,
    ),
    test_cfg=dict(_delete_=True),
)
custom_hooks = [dict(type='EpochSeedHook'), dict(type='HeadEpochHook')]
val_evaluator = [dict(type='CountMetric'), dict(type='MultiLabelMetric')]
test_evaluator = val_evaluator
