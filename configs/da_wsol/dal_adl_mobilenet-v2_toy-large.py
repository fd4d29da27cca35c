_base_ = './dal_cam_mobilenet-v2_toy-large.py'
model = dict(
    backbone=dict(insert=[dict(after='features.13', layer=dict(type='ADL'))])
)
