_base_ = './dal_cam_mobilenet-v2_toy-large.py'
model = dict(head=dict(type='ACoLHead', num_convs=1, mid_channels=256))
