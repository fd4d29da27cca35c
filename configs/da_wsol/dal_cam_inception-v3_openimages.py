_base_ = [
    '../_base_/models/dal_inception-v3.py',
    '../_base_/datasets/wsol_openimages.py',
    '../_base_/schedules/wsol_10e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    head=dict(
        head=dict(num_classes=100),
        dal=dict(
            assigner=dict(num_classes=100),
            discrepancy_weight=0.1,
            universum_weight=0.5,
        ),
    )
)
optim_wrapper = dict(optimizer=dict(weight_decay=5e-4))
