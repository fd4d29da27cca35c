_base_ = 'adamw_12e.py'
max_epochs = 8
optim_wrapper = dict(
    optimizer=dict(lr=2e-3),
    # The features have to move for domain adaption to work.
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.05)}),
)
_base_.param_scheduler[0].T_max = max_epochs
param_scheduler = _base_.param_scheduler
train_cfg = dict(max_epochs=max_epochs)
