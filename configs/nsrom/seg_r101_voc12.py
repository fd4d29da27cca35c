# DeepLabV2 on ResNet-101 with multi-scale inputs that learns from label maps
# of an earlier stage. Weights of ImageNet; the published ones of COCO, with
# torchvision's names, go into model.backbone.backbone.init_cfg.checkpoint.
_base_ = './seg_vgg16_voc12.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmwsl.MultiScaleBackbone',
        scales=(1.0, 0.75, 0.5),
        backbone=dict(
            type='mmwsl.TorchvisionBackbone',
            arch='resnet101',
            output_stride=8,
            norm_eval=True,
            init_cfg=dict(
                type='Pretrained', checkpoint='torchvision://resnet101'
            ),
        ),
    ),
    decode_head=dict(
        _delete_=True,
        type='mmwsl.MultiScaleHead',
        num_scales=3,
        decode_head=dict(
            type='mmwsl.DeepLabV2Head', in_channels=2048, num_classes=21
        ),
    ),
)
frozen = dict(lr_mult=0, decay_mult=0)
optim_wrapper = dict(
    optimizer=dict(lr=2.5e-4),
    # With norm_eval all of the batch normalisation stays as it was.
    paramwise_cfg=dict(custom_keys={'.bn': frozen, 'downsample.1': frozen}),
)
