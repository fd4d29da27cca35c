# The classifier on toy pictures that tools/dataset_converters/toy_to_voc.py
# has written with --png; validation draws its own. From scratch.
_base_ = [
    '../_base_/models/cam_r18_scratch.py',
    '../_base_/datasets/toy.py',
    '../_base_/schedules/adamw_4e.py',
    '../_base_/default_runtime.py',
]
data_root = 'data/toy'
max_epochs = 8
model = dict(
    backbone=dict(out_indices=(1,)),
    neck=dict(
        type='GraphReasoningNeck',
        in_channels=128,
        channels=128,
        num_convs=1,
        num_nodes=16,
        normalize=True,
    ),
    head=dict(in_channels=128),
)
# Flips can be undone, so the attention of all epochs fits together.
train_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical']),
    dict(type='PackWSLInputs'),
]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='VOCImageLevelDataset',
        data_root=data_root,
        ann_file='ImageSets/Segmentation/train.txt',
        metainfo=dict(classes=data_root + '/classes.txt'),
        pipeline=train_pipeline,
    )
)
_base_.param_scheduler[0].total_steps = max_epochs
param_scheduler = _base_.param_scheduler
train_cfg = dict(max_epochs=max_epochs, val_interval=100)
custom_hooks = [
    dict(type='EpochSeedHook'),
    dict(type='AttentionAccumulationHook'),
]
# What later stages take from it.
predict = dict(label_maps=False, soft_maps=True)
