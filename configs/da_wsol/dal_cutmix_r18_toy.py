_base_ = './dal_cam_r18_toy.py'
model = dict(data_preprocessor=dict(batch_augments=[dict(type='CutMix')]))
