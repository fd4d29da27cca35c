# VGG-16 to conv5 at stride 8, as published: its pool4 is 3 x 3 with stride 1,
# its conv5 dilated.
_base_ = 'cam_r50.py'
model = dict(
    backbone=dict(
        arch='vgg16',
        output_stride=8,
        layers={'features.23': dict(kernel_size=3, padding=1)},
        init_cfg=dict(checkpoint='torchvision://vgg16'),
    ),
    head=dict(in_channels=512),
    test_cfg=dict(_delete_=True),
)
