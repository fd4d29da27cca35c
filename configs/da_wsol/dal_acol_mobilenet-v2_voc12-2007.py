_base_ = './dal_cam_mobilenet-v2_voc12-2007.py'
model = dict(head=dict(type='ACoLHead'))
