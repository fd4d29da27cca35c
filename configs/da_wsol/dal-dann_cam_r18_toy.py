_base_ = './dal_cam_r18_toy.py'
model = dict(
    head=dict(
        dal=dict(
            discrepancy=dict(
                _delete_=True, type='DANNLoss', in_channels=128, speed=0.02
            )
        )
    )
)
