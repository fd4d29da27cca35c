_base_ = 'adamw_by-data.py'
max_epochs = 12
_base_.param_scheduler[0].T_max = max_epochs
param_scheduler = _base_.param_scheduler
train_cfg = dict(max_epochs=max_epochs, val_interval=4)
