_base_ = './dal_cam_r18_toy.py'
_base_.model.auxiliary[0].discrepancy = dict(
    type='DANNLoss', in_channels=128, speed=0.02
)
model = dict(auxiliary=_base_.model.auxiliary)
