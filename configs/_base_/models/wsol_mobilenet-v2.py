_base_ = 'cam_mobilenet-v2.py'
model = dict(
    # Up to features.13; what lies behind it adapts.
    backbone=dict(frozen_stages=3),
    head=dict(multi_label=False, score_map_size=224),
    test_cfg=dict(_delete_=True),
)
