_base_ = './wsol_cam_mobilenet-v2_toy-large.py'
model = dict(
    auxiliary=[
        dict(
            type='DALLoss',
            assigner=dict(
                type='TargetSampleAssigner', num_classes=6, feat_dim=1280
            ),
            discrepancy=dict(type='MMDLoss'),
            # Twice the published weight, chosen on other pictures.
            discrepancy_weight=0.6,
            universum_weight=2.0,
        )
    ]
)
