_base_ = './wsol_cam_r18_toy.py'
model = dict(
    backbone=dict(insert=[dict(after='layer1', layer=dict(type='ADL'))])
)
