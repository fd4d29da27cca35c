# The published settings. The released config trains on trainval, which holds the
# images of this evaluation, and has head.average_gradient=False.
_base_ = [
    '../_base_/models/cam_r50.py',
    '../_base_/datasets/voc12_448-objects.py',
    '../_base_/schedules/sgd_20e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(output_stride=32),
    head=dict(type='PRMHead', upsample=8),
    test_cfg=dict(_delete_=True),
)
