# Pictures drawn from a seed: no files. See mmwsl/datasets/toy.py.
_base_ = '_loaders.py'
num_classes = 6
train_pipeline = [
    dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical']),
    dict(type='PackWSLInputs'),
]
test_pipeline = [
    dict(type='LoadEvalAnnotations', with_seg_map=True, with_body_seg=True),
    dict(type='PackWSLInputs', eval_keys=('gt_sem_seg', 'gt_body_seg')),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    dataset=dict(
        type='ToyDataset',
        num_images=1024,
        num_classes=num_classes,
        seed=0,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=1,
    dataset=dict(
        type='ToyDataset',
        num_images=256,
        num_classes=num_classes,
        seed=1000,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = [dict(type='SeedIoUMetric'), dict(type='MultiLabelMetric')]
test_evaluator = val_evaluator
