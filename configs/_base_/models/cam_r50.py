model = dict(
    type='WSLClassifier',
    data_preprocessor=dict(
        type='WSLDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    backbone=dict(
        type='TorchvisionBackbone',
        arch='resnet50',
        output_stride=16,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
    ),
    head=dict(type='CAMHead', num_classes=20, in_channels=2048),
    # CAM's customary multi-scale and mirrored testing.
    test_cfg=dict(scales=(0.5, 1.0, 1.5, 2.0), flip=True),
)
