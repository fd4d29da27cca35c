# Images that show one class alone.
_base_ = './wsol_cam_mobilenet-v2_voc12-2007.py'
train_dataloader = dict(dataset=dict(images='single'))
val_dataloader = dict(dataset=dict(images='single'))
test_dataloader = val_dataloader
