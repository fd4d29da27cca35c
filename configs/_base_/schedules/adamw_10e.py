_base_ = 'adamw_4e.py'
max_epochs = 10
_base_.param_scheduler[0].total_steps = max_epochs
param_scheduler = _base_.param_scheduler
train_cfg = dict(max_epochs=max_epochs, val_interval=10)
