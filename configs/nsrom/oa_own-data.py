# The integral model for own images, which learns the accumulated attention.
_base_ = './cls_own-data.py'
attention = 'work_dirs/cls_own-data/attention.npz'
model = dict(neck=dict(relu='before'), head=dict(type='IntegralAttentionHead'))
train_pipeline = [
    *_base_.train_pipeline,
    dict(type='LoadAttention', path=attention),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
custom_hooks = [dict(type='EpochSeedHook')]
