# VGG-16 to conv5 at stride 8. Its pool4 gets stride 1 but stays 2 x 2, where
# the published one is 3 x 3.
_base_ = 'cam_r50.py'
model = dict(
    backbone=dict(
        arch='vgg16',
        output_stride=8,
        init_cfg=dict(checkpoint='torchvision://vgg16'),
    ),
    head=dict(in_channels=512),
    test_cfg=dict(_delete_=True),
)
