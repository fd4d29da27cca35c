_base_ = [
    '../_base_/models/cam_r50.py',
    '../_base_/datasets/coco14_448.py',
    '../_base_/schedules/sgd_halving-300e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(output_stride=32),
    head=dict(
        type='DensityHead',
        num_classes=80,
        spatial_start_epoch=20,
        # Nearly all pairs of an image and a class are absent ones.
        absent_rate=0.1,
        instances=False,
    ),
    test_cfg=dict(_delete_=True),
)
custom_hooks = [dict(type='EpochSeedHook'), dict(type='HeadEpochHook')]
