_base_ = [
    '../_base_/models/dal_r50.py',
    '../_base_/datasets/wsol_ilsvrc.py',
    '../_base_/schedules/wsol_10e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    head=dict(
        head=dict(num_classes=1000),
        dal=dict(
            assigner=dict(num_classes=1000),
            discrepancy_weight=0.3,
            universum_weight=3.0,
        ),
    )
)
optim_wrapper = dict(optimizer=dict(lr=1e-5))
