# A file of ImageNet weights with torchvision's names, learned on images in
# [-1, 1]. torchvision's own weights (torchvision://mobilenet_v2) need
# mean=[123.675, 116.28, 103.53] and std=[58.395, 57.12, 57.375] instead.
weights = 'weights/mobilenet_v2_imagenet.pth'
model = dict(
    type='WSLClassifier',
    data_preprocessor=dict(
        type='WSLDataPreprocessor',
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        bgr_to_rgb=True,
    ),
    backbone=dict(
        type='TorchvisionBackbone',
        arch='mobilenet_v2',
        output_stride=16,
        # BatchNorm is folded into these weights; and with few images the
        # early layers are better left alone.
        norm_eval=True,
        frozen_stages=2,
        init_cfg=dict(type='Pretrained', checkpoint=weights),
    ),
    head=dict(type='CAMHead', num_classes=20, in_channels=1280),
    test_cfg=dict(scales=(0.5, 1.0, 1.5, 2.0), flip=True),
)
