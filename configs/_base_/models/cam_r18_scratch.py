model = dict(
    type='WSLClassifier',
    data_preprocessor=dict(
        type='WSLDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    # Without the last stage: small pictures need no stride of 32, and no
    # weights are there to be kept.
    backbone=dict(
        type='TorchvisionBackbone', arch='resnet18', out_indices=(2,)
    ),
    head=dict(type='CAMHead', num_classes=6, in_channels=256),
)
