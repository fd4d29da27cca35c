# The integral model, which learns the attention that the classifier has
# accumulated: maps of absent classes learn to be empty, as in the released code.
_base_ = './cls_vgg16_voc12.py'
attention = 'work_dirs/cls_vgg16_voc12/attention.npz'
model = dict(
    neck=dict(relu='before'),
    head=dict(type='IntegralAttentionHead', absent=True),
)
train_pipeline = [
    *_base_.train_pipeline,
    dict(type='LoadAttention', path=attention),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
custom_hooks = [dict(type='EpochSeedHook')]
