# The integral model, which learns the attention that the classifier has
# accumulated.
_base_ = './cls_mobilenet-v2_voc12-2007.py'
attention = 'work_dirs/cls_mobilenet-v2_voc12-2007/attention.npz'
max_epochs = 8
model = dict(neck=dict(relu='before'), head=dict(type='IntegralAttentionHead'))
train_pipeline = [
    *_base_.train_pipeline,
    dict(type='LoadAttention', path=attention),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
_base_.param_scheduler[0].T_max = max_epochs
param_scheduler = _base_.param_scheduler
train_cfg = dict(max_epochs=max_epochs, val_interval=8)
custom_hooks = [dict(type='EpochSeedHook')]
