# The large map, 28 x 28 from images of 224 x 224; output_stride=16 is the
# small one. The published networks do not dilate where they give up strides.
_base_ = 'cam_r50.py'
model = dict(
    backbone=dict(output_stride=8, dilate=False),
    head=dict(num_classes=200, multi_label=False, score_map_size=224),
    test_cfg=dict(_delete_=True),
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
            # From the second epoch on.
            start_epoch=1,
        )
    ],
)
