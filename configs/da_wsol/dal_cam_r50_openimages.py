_base_ = [
    '../_base_/models/dal_r50.py',
    '../_base_/datasets/wsol_openimages.py',
    '../_base_/schedules/wsol_10e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    # The small map.
    backbone=dict(output_stride=16),
    head=dict(
        head=dict(num_classes=100),
        dal=dict(
            assigner=dict(num_classes=100),
            discrepancy_weight=0.2,
            universum_weight=3.0,
        ),
    ),
)
