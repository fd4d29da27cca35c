_base_ = './dal_cam_mobilenet-v2_voc12-2007.py'
model = dict(
    backbone=dict(insert=[dict(after='features.13', layer=dict(type='ADL'))])
)
