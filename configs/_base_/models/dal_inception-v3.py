# Maps of 14 x 14 from images of 224 x 224. torchvision's weights take images
# in [-1, 1].
_base_ = 'dal_r50.py'
_base_.model.auxiliary[0].update(discrepancy_weight=1.4, universum_weight=4.0)
model = dict(
    data_preprocessor=dict(
        mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]
    ),
    backbone=dict(
        arch='inception_v3',
        output_stride=16,
        init_cfg=dict(checkpoint='torchvision://inception_v3'),
    ),
    auxiliary=_base_.model.auxiliary,
)
