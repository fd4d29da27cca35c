# The large map, 28 x 28 from images of 224 x 224; output_stride=16 is the
# small one.
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
        output_stride=8,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
    ),
    head=dict(
        type='CAMHead',
        num_classes=200,
        in_channels=2048,
        multi_label=False,
        score_map_size=224,
    ),
    auxiliary=[
        dict(
            type='DALLoss',
            assigner=dict(
                type='TargetSampleAssigner',
                num_classes=200,
                feat_dim=2048,
            ),
            # As the published runs; 'full' is the other estimator.
            discrepancy=dict(type='MMDLoss', estimator='linear'),
            discrepancy_weight=0.3,
            universum_weight=2.0,
        )
    ],
)
