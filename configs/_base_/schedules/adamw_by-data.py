# As many epochs as the number of images asks for, see fill_from_data.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-3, weight_decay=0.05),
    # With few images the new classifier has to learn fast, before the
    # pretrained layers have fitted the noise.
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.004)}),
)
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        T_max=None,
        by_epoch=True,
        convert_to_iter_based=True,
    )
]
train_cfg = dict(by_epoch=True, max_epochs=None, val_interval=5)
