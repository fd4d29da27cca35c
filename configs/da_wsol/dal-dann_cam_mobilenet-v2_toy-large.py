_base_ = './dal_cam_mobilenet-v2_toy-large.py'
model = dict(
    head=dict(
        dal=dict(
            discrepancy=dict(
                _delete_=True, type='DANNLoss', in_channels=1280, speed=0.02
            )
        )
    )
)
