# For toy pictures, from scratch: the first stages, which give maps of 14 x 14
# from pictures of 112 x 112.
model = dict(
    type='WSLClassifier',
    data_preprocessor=dict(
        type='WSLDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    backbone=dict(
        type='TorchvisionBackbone', arch='resnet18', out_indices=(1,)
    ),
    head=dict(
        type='CAMHead',
        num_classes=6,
        in_channels=128,
        multi_label=False,
        score_map_size=224,
    ),
)
