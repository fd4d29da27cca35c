# Prohibitive segmentation learning on label maps that an earlier stage wrote.
# A test runs a CRF.
_base_ = [
    'mmseg::_base_/default_runtime.py',
    '../_base_/models/segmentor.py',
    '../_base_/datasets/voc_seg.py',
    '../_base_/segmentor_runtime.py',
]
labels = 'work_dirs/erase_mobilenet-v2_voc12-2007/labels'
weights = 'weights/mobilenet_v2_imagenet.pth'
crop_size = (224, 224)
max_epochs = 24
model = dict(
    # As these weights want it, see cam_mobilenet-v2.py.
    data_preprocessor=dict(
        mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5], size=crop_size
    ),
    backbone=dict(
        type='mmwsl.TorchvisionBackbone',
        arch='mobilenet_v2',
        output_stride=16,
        norm_eval=True,
        # Up to features.13: with few images the rest is enough.
        frozen_stages=3,
        init_cfg=dict(type='Pretrained', checkpoint=weights),
    ),
    decode_head=dict(
        type='mmwsl.PSLHead',
        in_channels=1280,
        # With so few images the branch takes away more than it should.
        weighted_test=False,
        decode_head=dict(
            type='mmwsl.LargeFOVHead',
            in_channels=1280,
            num_classes=21,
            channels=256,
            dilation=4,
            pools=(),
        ),
    ),
)
augmentations = [
    dict(
        type='RandomResize',
        scale=(1024, 256),
        ratio_range=(0.75, 1.5),
        keep_ratio=True,
    ),
    dict(type='mmseg.RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmseg.PhotoMetricDistortion'),
]
train_pipeline = [
    dict(type='mmwsl.LoadWSLImage'),
    dict(type='mmseg.LoadAnnotations'),
    *augmentations,
    # The branch learns from the image labels, not from what the label maps
    # show of them.
    dict(type='mmwsl.PackLabelledSegInputs', labels=_base_.image_labels),
]
test_pipeline = [
    dict(type='mmwsl.LoadWSLImage'),
    # A short side of 256.
    dict(type='Resize', scale=(1024, 256), keep_ratio=True),
    dict(type='mmseg.LoadAnnotations'),
    dict(type='mmseg.PackSegInputs'),
]
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        dataset=dict(
            data_prefix=dict(seg_map_path=labels), pipeline=train_pipeline
        )
    ),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    # Pretrained layers learn slower.
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.05)}),
)
param_scheduler = [
    dict(
        type='PolyLR',
        power=0.9,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    )
]
log_processor = dict(by_epoch=True)
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=4)
# Tests refine by a CRF, validation during training does not.
custom_hooks = [
    dict(type='mmwsl.EpochSeedHook'),
    dict(type='mmwsl.PseudoLabelGuardHook'),
    dict(type='mmwsl.DenseCRFHook'),
]
# Label maps for PSL+ show the classes that the image labels name and no
# others.
predict = dict(crf=dict(given_only=True))
