_base_ = './wsol_cam_r18_toy.py'
model = dict(
    auxiliary=[
        dict(
            type='DALLoss',
            # A map has 196 cells.
            assigner=dict(
                type='TargetSampleAssigner',
                num_classes=6,
                feat_dim=128,
                num_source=16,
                num_target=16,
            ),
            discrepancy=dict(type='MMDLoss'),
            discrepancy_weight=0.3,
            # From scratch, the weight of the published runs (2, pretrained)
            # from the first step on presses all features to zero.
            universum_weight=0.2,
            start_epoch=1,
        )
    ]
)
custom_hooks = [dict(type='EpochSeedHook'), dict(type='HeadEpochHook')]
