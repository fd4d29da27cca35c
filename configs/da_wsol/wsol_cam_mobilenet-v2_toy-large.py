# On the large map: 28 x 28 from pictures of 224 x 224.
_base_ = [
    '../_base_/models/wsol_mobilenet-v2.py',
    '../_base_/datasets/toy_wsol-large.py',
    '../_base_/schedules/adamw_wsol-8e.py',
    '../_base_/default_runtime.py',
]
max_epochs = 5
model = dict(backbone=dict(output_stride=8), head=dict(num_classes=6))
_base_.param_scheduler[0].T_max = max_epochs
param_scheduler = _base_.param_scheduler
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
