# The classifier, whose attention is accumulated while it trains.
_base_ = [
    '../_base_/models/cam_mobilenet-v2.py',
    '../_base_/datasets/voc12-2007_320.py',
    '../_base_/schedules/adamw_12e.py',
    '../_base_/default_runtime.py',
]
data_root = 'data/voc12_2007'
max_epochs = 10
model = dict(
    neck=dict(
        type='GraphReasoningNeck',
        in_channels=1280,
        channels=256,
        num_convs=1,
        num_nodes=32,
        normalize=True,
    ),
    head=dict(in_channels=256),
    test_cfg=dict(_delete_=True, flip=True),
)
# Whole images of one size: the maps of all epochs have to fit together.
train_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='Resize', scale=(256, 256)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='ColorJitter', brightness=0.3, contrast=0.3, saturation=0.3),
    dict(type='PackWSLInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    paramwise_cfg=dict(
        _delete_=True,
        custom_keys={'backbone': dict(lr_mult=0.02), 'head': dict(lr_mult=5)},
    ),
)
_base_.param_scheduler[0].T_max = max_epochs
param_scheduler = _base_.param_scheduler
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
custom_hooks = [
    dict(type='EpochSeedHook'),
    dict(type='AttentionAccumulationHook'),
]
# What later stages take from it.
predict = dict(
    label_maps=False,
    soft_maps=True,
    pipeline=[
        dict(type='LoadWSLImage'),
        dict(type='Resize', scale=(256, 256)),
        dict(type='PackWSLInputs'),
    ],
)
