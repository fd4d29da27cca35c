# Heads and backbones combine freely: peaks behind a VGG-16.
_base_ = './prm_r50_voc12-448.py'
model = dict(
    backbone=dict(
        arch='vgg16',
        output_stride=16,
        init_cfg=dict(checkpoint='torchvision://vgg16'),
    ),
    head=dict(in_channels=512),
)
