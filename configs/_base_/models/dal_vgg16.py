# The VGG-16 of localisation, with maps of 28 x 28 from images of 224 x 224: no
# pool4 (a pooling of one cell), no dilation, and conv6 behind it.
# No settings for VGG-16 are published: the weights of the loss are those of
# ResNet-50 on CUB, our choice.
_base_ = 'dal_r50.py'
_base_.model.auxiliary[0].assigner.feat_dim = 1024
model = dict(
    backbone=dict(
        arch='vgg16',
        layers={'features.23': dict(kernel_size=1)},
        init_cfg=dict(checkpoint='torchvision://vgg16'),
    ),
    neck=dict(
        type='LargeFOVNeck', in_channels=512, kernels=(3,), dropout_ratio=0.0
    ),
    head=dict(in_channels=1024),
    auxiliary=_base_.model.auxiliary,
)
