# See cam_mobilenet-v2.py for the weights.
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
        norm_eval=True,
        # Up to features.13; what lies behind it adapts.
        frozen_stages=3,
        init_cfg=dict(type='Pretrained', checkpoint=weights),
    ),
    head=dict(
        type='CAMHead',
        num_classes=20,
        in_channels=1280,
        multi_label=False,
        score_map_size=224,
    ),
)
