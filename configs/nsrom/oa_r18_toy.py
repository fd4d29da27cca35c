# The integral model, which learns the attention that the classifier has
# accumulated.
_base_ = './cls_r18_toy.py'
attention = 'work_dirs/cls_r18_toy/attention.npz'
model = dict(neck=dict(relu='before'), head=dict(type='IntegralAttentionHead'))
train_pipeline = [
    *_base_.train_pipeline,
    dict(type='LoadAttention', path=attention),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
custom_hooks = [dict(type='EpochSeedHook')]
