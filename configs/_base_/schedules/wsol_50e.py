# Settings of DA-WSOL on CUB; lr and weight_decay are those of ResNet-50.
_base_ = 'wsol_10e.py'
max_epochs = 50
param_scheduler = [
    dict(type='MultiStepLR', milestones=[29], gamma=0.1, by_epoch=True)
]
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
