# Own images and their labels; boxes and masks are not read.
_base_ = '_own.py'
train_pipeline = [
    _base_.load,
    _base_.crop,
    dict(type='RandomFlip', prob=0.5),
    dict(type='ColorJitter', brightness=0.3, contrast=0.3, saturation=0.3),
    dict(type='PackWSLInputs'),
]
test_pipeline = [_base_.load, _base_.resize, dict(type='PackWSLInputs')]
train_dataloader = dict(
    drop_last=False,
    dataset=dict(_base_.own, split='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    dataset=dict(
        _base_.own, split='val', test_mode=True, pipeline=test_pipeline
    ),
)
test_dataloader = val_dataloader
val_evaluator = [dict(type='MultiLabelMetric')]
test_evaluator = val_evaluator
