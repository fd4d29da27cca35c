# The InceptionV3 of localisation, with maps of 28 x 28 from images of
# 224 x 224: Mixed_6a has no stride, all ends at Mixed_6e, and two layers follow.
# It sees images with ImageNet's mean and std, as published, though the weights
# were learned on images in [-1, 1].
_base_ = 'dal_r50.py'
_base_.model.auxiliary[0].assigner.feat_dim = 1024
_base_.model.auxiliary[0].update(discrepancy_weight=1.4, universum_weight=4.0)
weights = (
    'https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth'
)
flat = dict(stride=1, padding=1)
model = dict(
    backbone=dict(
        arch='inception_v3',
        output_stride=None,
        out_indices=(1,),
        layers={
            'Conv2d_1a_3x3.conv': dict(padding=1),
            'maxpool[12]': dict(padding=1, ceil_mode=True),
            'Mixed_6a.branch3x3(dbl_3)?.conv': flat,
            'Mixed_6a.max_pool2d': flat,
        },
        init_cfg=dict(checkpoint=weights),
    ),
    neck=dict(type='LargeFOVNeck', in_channels=768, kernels=(3, 3)),
    head=dict(in_channels=1024),
    auxiliary=_base_.model.auxiliary,
)
