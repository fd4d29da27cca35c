# Instances of own images: tools/train.py CONFIG --cfg-options data_root=DIR
_base_ = [
    '../_base_/models/cam_cnn.py',
    '../_base_/datasets/own.py',
    '../_base_/schedules/adamw_by-data.py',
    '../_base_/default_runtime.py',
]
model = dict(
    head=dict(type='PRMHead', peaks=dict(min_ratio=0.7, per_class=4)),
    test_cfg=dict(_delete_=True),
)
