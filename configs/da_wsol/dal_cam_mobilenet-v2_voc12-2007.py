_base_ = './wsol_cam_mobilenet-v2_voc12-2007.py'
model = dict(
    auxiliary=[
        dict(
            type='DALLoss',
            # A map has 196 cells.
            assigner=dict(
                type='TargetSampleAssigner',
                num_classes=20,
                feat_dim=1280,
                num_source=16,
                num_target=16,
            ),
            discrepancy=dict(type='MMDLoss'),
            discrepancy_weight=0.3,
            universum_weight=2.0,
        )
    ]
)
