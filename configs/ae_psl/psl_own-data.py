# Prohibitive segmentation learning of own images.
_base_ = '../nsrom/seg_own-data.py'
model = dict(
    decode_head=dict(
        _delete_=True,
        type='mmwsl.PSLHead',
        in_channels=None,
        decode_head=_base_.model.decode_head,
    )
)
# The branch learns from the image labels, not from what the label maps show
# of them.
train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(type='mmwsl.PackLabelledSegInputs', labels=_base_.image_labels),
]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
# The image labels say which classes are there, so the branch need not.
predict = dict(model=dict(decode_head=dict(weighted_test=False)))
