max_epochs = 20
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4),
    # Pretrained layers learn far slower than the new ones.
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.01)}),
)
param_scheduler = []
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=10)
