# Maps of 28 x 28 from images of 224 x 224; output_stride=16 gives 14 x 14.
# No settings for VGG-16 are published: the weights of the loss are those of
# ResNet-50 on CUB, our choice.
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
        arch='vgg16',
        output_stride=8,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://vgg16'),
    ),
    head=dict(
        type='DALHead',
        head=dict(
            type='CAMHead',
            num_classes=200,
            in_channels=512,
            multi_label=False,
            score_map_size=224,
        ),
        dal=dict(
            type='DALLoss',
            assigner=dict(
                type='TargetSampleAssigner',
                num_classes=200,
                feat_dim=512,
            ),
            # As the published runs; 'full' is the other estimator.
            discrepancy=dict(type='MMDLoss', estimator='linear'),
            discrepancy_weight=0.3,
            universum_weight=2.0,
        ),
    ),
)
