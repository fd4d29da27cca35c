# The classifier on toy pictures on disk, from scratch. They are flipped alone,
# which can be undone, so the attention of all epochs fits together.
_base_ = [
    '../_base_/models/cam_r18_scratch.py',
    '../_base_/datasets/toy_files.py',
    '../_base_/schedules/adamw_4e.py',
    '../_base_/default_runtime.py',
]
max_epochs = 8
model = dict(
    backbone=dict(out_indices=(1,)),
    neck=dict(
        type='GraphReasoningNeck',
        in_channels=128,
        channels=128,
        num_convs=1,
        num_nodes=16,
        normalize=True,
    ),
    head=dict(in_channels=128),
)
_base_.param_scheduler[0].total_steps = max_epochs
param_scheduler = _base_.param_scheduler
train_cfg = dict(max_epochs=max_epochs, val_interval=100)
custom_hooks = [
    dict(type='EpochSeedHook'),
    dict(type='AttentionAccumulationHook'),
]
# What later stages take from it.
predict = dict(label_maps=False, soft_maps=True)
