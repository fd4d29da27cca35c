_base_ = './dal_cam_mobilenet-v2_toy-large.py'
_base_.model.auxiliary[0].discrepancy = dict(
    type='DANNLoss', in_channels=1280, speed=0.02
)
model = dict(auxiliary=_base_.model.auxiliary)
