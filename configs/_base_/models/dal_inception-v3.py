# Maps of 14 x 14 from images of 224 x 224. torchvision's weights take images
# in [-1, 1].
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
        arch='inception_v3',
        output_stride=16,
        init_cfg=dict(
            type='Pretrained', checkpoint='torchvision://inception_v3'
        ),
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
            discrepancy_weight=1.4,
            universum_weight=4.0,
        )
    ],
)
