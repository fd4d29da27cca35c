# What the data and the backbone decide is left open.
_base_ = 'cnn_backbone.py'
crop_size = (224, 224)
model = dict(
    type='mmseg.EncoderDecoder',
    data_preprocessor=dict(
        type='mmseg.SegDataPreProcessor',
        pad_val=0,
        seg_pad_val=255,
        size=crop_size,
    ),
    # Up to features.13 of MobileNetV2: with few images the rest is enough.
    backbone=dict(frozen_stages=3),
    decode_head=dict(
        type='mmwsl.LargeFOVHead',
        in_channels=None,
        num_classes=None,
        channels=256,
        dilation=4,
        pools=(),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
