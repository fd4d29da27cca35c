# Settings of DA-WSOL on ILSVRC and OpenImages; lr and weight_decay are those
# of ResNet-50 on OpenImages.
max_epochs = 10
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='SGD', lr=1e-3, momentum=0.9, nesterov=True, weight_decay=1e-4
    ),
    # New layers learn faster.
    paramwise_cfg=dict(
        custom_keys={'neck': dict(lr_mult=10), 'head': dict(lr_mult=10)}
    ),
)
# The released code counts epochs from 1 and so falls an epoch early.
param_scheduler = [
    dict(type='MultiStepLR', milestones=[2, 5, 8], gamma=0.1, by_epoch=True)
]
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=1)
