_base_ = './wsol_cam_r18_toy.py'
model = dict(head=dict(type='ACoLHead', num_convs=1, mid_channels=64))
