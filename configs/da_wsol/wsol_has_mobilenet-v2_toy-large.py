_base_ = './wsol_cam_mobilenet-v2_toy-large.py'
model = dict(data_preprocessor=dict(batch_augments=[dict(type='HideAndSeek')]))
