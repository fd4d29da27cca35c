_base_ = './wsol_cam_mobilenet-v2_voc12-2007.py'
model = dict(data_preprocessor=dict(batch_augments=[dict(type='HideAndSeek')]))
