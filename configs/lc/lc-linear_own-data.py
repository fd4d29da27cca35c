# Counts of many or small objects: tools/train.py CONFIG --cfg-options data_root=DIR
_base_ = 'lc_own-data.py'
whole = dict(type='Resize', scale=(384, 384))
train_pipeline = [_base_.load, whole, *_base_.train_pipeline[2:]]
test_pipeline = [_base_.load, whole, dict(type='PackWSLInputs')]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
model = dict(
    # The last stage tells what an image shows, this one how much of it.
    backbone=dict(out_indices=(2,), frozen_stages=3),
    head=dict(
        linear_density=True,
        mean_counts=None,
        count_absent=True,
    ),
)
# Means of cells differ little between images: slow steps would not find how.
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'head.density': dict(lr_mult=4)})
)
