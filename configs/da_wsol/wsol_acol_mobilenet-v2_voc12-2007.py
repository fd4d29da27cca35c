_base_ = './wsol_cam_mobilenet-v2_voc12-2007.py'
model = dict(head=dict(type='ACoLHead'))
