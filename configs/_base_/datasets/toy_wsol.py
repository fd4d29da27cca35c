# Pictures drawn from a seed, each of one class: no files. The evaluation has
# the boxes and the mask of what is visible. See mmwsl/datasets/toy.py.
num_classes = 6
style = dict(class_shares=(1.0,), count_shares=(0.7, 0.2, 0.1))
train_pipeline = [
    dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical']),
    dict(type='PackWSLInputs'),
]
test_pipeline = [
    dict(
        type='LoadEvalAnnotations',
        with_seg_map=False,
        with_instances=True,
        with_loc_mask=True,
    ),
    dict(type='PackWSLInputs', eval_keys=('gt_instances', 'gt_loc_mask')),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='ToyDataset',
        num_images=1024,
        num_classes=num_classes,
        style=style,
        seed=0,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ToyDataset',
        num_images=256,
        num_classes=num_classes,
        style=style,
        seed=1000,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='MaxBoxAccMetric'),
    dict(type='PxAPMetric'),
    dict(type='AccuracyMetric', topk=(1,)),
]
test_evaluator = val_evaluator
