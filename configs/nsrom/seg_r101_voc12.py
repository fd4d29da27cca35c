# DeepLabV2 on Caffe's ResNet-101 with multi-scale inputs, as published, that
# learns from label maps of an earlier stage. Weights of ImageNet; for those of
# COCO see docs/peers.md.
_base_ = './seg_vgg16_voc12.py'
model = dict(
    data_preprocessor=dict(
        mean=[104.008, 116.669, 122.675], std=[1.0, 1.0, 1.0], bgr_to_rgb=False
    ),
    backbone=dict(
        _delete_=True,
        type='mmwsl.MultiScaleBackbone',
        scales=(1.0, 0.75, 0.5),
        backbone=dict(
            type='mmwsl.TorchvisionBackbone',
            arch='resnet101',
            output_stride=8,
            # Caffe strides in the convolutions of 1 x 1.
            layers={
                'maxpool': dict(ceil_mode=True),
                'layer[234].0.conv1': dict(stride=2),
                'layer[234].0.conv2': dict(stride=1),
            },
            norm_eval=True,
            init_cfg=dict(
                type='Pretrained',
                checkpoint='open-mmlab://detectron2/resnet101_caffe',
            ),
        ),
    ),
    decode_head=dict(
        _delete_=True,
        type='mmwsl.MultiScaleHead',
        num_scales=3,
        decode_head=dict(
            type='mmwsl.DeepLabV2Head',
            in_channels=2048,
            num_classes=21,
            loss_size='logits',
        ),
    ),
)
train_pipeline = [
    dict(type='mmwsl.LoadWSLImage'),
    dict(type='mmseg.LoadAnnotations'),
    dict(
        type='RandomChoice',
        transforms=[
            [dict(type='Resize', scale_factor=scale)]
            for scale in (0.5, 0.75, 1.0, 1.25, 1.5)
        ],
    ),
    dict(type='mmseg.RandomCrop', crop_size=_base_.crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmseg.PackSegInputs'),
]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
frozen = dict(lr_mult=0, decay_mult=0)
optim_wrapper = dict(
    optimizer=dict(lr=2.5e-4),
    paramwise_cfg=dict(
        custom_keys={
            # With norm_eval all of the batch normalisation stays as it was.
            '.bn': frozen,
            'downsample.1': frozen,
            **{
                f'branches.{index}.bias': dict(lr_mult=20, decay_mult=0)
                for index in range(4)
            },
        }
    ),
)
