# Maps of 28 x 28 from images of 224 x 224; output_stride=16 gives 14 x 14.
# No settings for VGG-16 are published: the weights of the loss are those of
# ResNet-50 on CUB, our choice.
_base_ = 'dal_r50.py'
_base_.model.auxiliary[0].assigner.feat_dim = 512
model = dict(
    backbone=dict(
        arch='vgg16',
        init_cfg=dict(checkpoint='torchvision://vgg16'),
    ),
    head=dict(in_channels=512),
    auxiliary=_base_.model.auxiliary,
)
