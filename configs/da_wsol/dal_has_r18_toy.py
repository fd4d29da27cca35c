_base_ = './dal_cam_r18_toy.py'
model = dict(
    data_preprocessor=dict(
        # The grid of 50 pixels on images of 224, for pictures of 112.
        batch_augments=[dict(type='HideAndSeek', grid_size=25)]
    )
)
