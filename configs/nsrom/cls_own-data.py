# The classifier for own images, whose attention is accumulated while it trains.
_base_ = [
    '../_base_/models/cam_cnn.py',
    '../_base_/datasets/own.py',
    '../_base_/schedules/adamw_by-data.py',
    '../_base_/default_runtime.py',
]
model = dict(
    neck=dict(
        type='GraphReasoningNeck',
        in_channels=None,
        channels=256,
        num_convs=1,
        num_nodes=32,
        normalize=True,
    ),
    head=dict(in_channels=256),
    test_cfg=dict(_delete_=True, flip=True),
)
# Whole images of one size: the maps of all epochs have to fit together.
train_pipeline = [_base_.load, _base_.whole, *_base_.train_pipeline[2:]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    paramwise_cfg=dict(
        _delete_=True,
        custom_keys={'backbone': dict(lr_mult=0.02), 'head': dict(lr_mult=5)},
    ),
)
custom_hooks = [
    dict(type='EpochSeedHook'),
    dict(type='AttentionAccumulationHook'),
]
# What later stages take from it.
predict = dict(
    label_maps=False,
    soft_maps=True,
    pipeline=[_base_.load, _base_.whole, dict(type='PackWSLInputs')],
)
