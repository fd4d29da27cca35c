# Images that show one class alone. See the README for these weights.
_base_ = './dal_cam_mobilenet-v2_voc12-2007.py'
train_dataloader = dict(dataset=dict(images='single'))
val_dataloader = dict(dataset=dict(images='single'))
test_dataloader = val_dataloader
_base_.model.auxiliary[0].update(discrepancy_weight=1.0, universum_weight=0.1)
model = dict(auxiliary=_base_.model.auxiliary)
