# Images that show one class alone. The universum term gains nothing on them:
# see docs/notes/da_wsol.md.
_base_ = './dal_cam_mobilenet-v2_voc12-2007.py'
train_dataloader = dict(dataset=dict(images='single'))
val_dataloader = dict(dataset=dict(images='single'))
test_dataloader = val_dataloader
_base_.model.auxiliary[0].update(universum_weight=0.0)
model = dict(auxiliary=_base_.model.auxiliary)
