# Pictures of one large and long object whose class shows all over it, at the
# size that pretrained networks know.
_base_ = 'toy_wsol.py'
picture = dict(
    image_size=224,
    body_evidence=1.0,
    style=dict(
        class_shares=(1.0,),
        count_shares=(1.0,),
        long_side=(0.75, 0.98),
        aspect=(1.9, 2.8),
    ),
)
train_pipeline = [
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackWSLInputs'),
]
train_dataloader = dict(
    batch_size=16,
    dataset=dict(num_images=256, pipeline=train_pipeline, **picture),
)
val_dataloader = dict(dataset=picture)
test_dataloader = val_dataloader
