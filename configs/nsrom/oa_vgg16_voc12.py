# The integral model, which learns the attention that the classifier has
# accumulated.
_base_ = './cls_vgg16_voc12.py'
attention = 'work_dirs/cls_vgg16_voc12/attention.npz'
model = dict(neck=dict(relu='before'), head=dict(type='IntegralAttentionHead'))
train_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='Resize', scale=(256, 256)),
    dict(type='ColorJitter', brightness=0.3, contrast=0.3, saturation=0.3),
    dict(type='PackWSLInputs'),
    dict(type='LoadAttention', path=attention),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
custom_hooks = [dict(type='EpochSeedHook')]
