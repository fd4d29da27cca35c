# Prohibitive segmentation learning on label maps that an earlier stage wrote.
# A test weighs the classes by the branch's confidence and runs a CRF.
_base_ = [
    'mmseg::_base_/default_runtime.py',
    'mmseg::_base_/datasets/pascal_voc12.py',
    '../_base_/segmentor_runtime.py',
]
data_root = 'data/voc12_2007'
labels = 'work_dirs/erase_mobilenet-v2_voc12-2007/labels'
weights = 'weights/mobilenet_v2_imagenet.pth'
crop_size = (224, 224)
max_epochs = 24

model = dict(
    type='mmseg.EncoderDecoder',
    # As these weights want it, see cam_mobilenet-v2.py.
    data_preprocessor=dict(
        type='mmseg.SegDataPreProcessor',
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=crop_size,
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
        decode_head=dict(
            type='mmwsl.LargeFOVHead',
            in_channels=1280,
            num_classes=21,
            channels=256,
            dilation=4,
            pools=(),
        ),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)

train_pipeline = [
    dict(type='mmwsl.LoadWSLImage'),
    dict(type='mmseg.LoadAnnotations'),
    dict(
        type='RandomResize',
        scale=(1024, 256),
        ratio_range=(0.75, 1.5),
        keep_ratio=True,
    ),
    dict(type='mmseg.RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmseg.PhotoMetricDistortion'),
    # The branch learns from the image labels, not from what the label maps
    # show of them.
    dict(
        type='mmwsl.PackLabelledSegInputs',
        labels=dict(
            type='mmwsl.VOCImageLevelDataset',
            data_root=data_root,
            ann_file='ImageSets/Segmentation/train.txt',
        ),
    ),
]
test_pipeline = [
    dict(type='mmwsl.LoadWSLImage'),
    # A short side of 256.
    dict(type='Resize', scale=(1024, 256), keep_ratio=True),
    dict(type='mmseg.LoadAnnotations'),
    dict(type='mmseg.PackSegInputs'),
]
train_dataloader = dict(
    _delete_=True,
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmwsl.SeededDataset',
        dataset=dict(
            type='mmseg.PascalVOCDataset',
            # Whole paths, for labels lie elsewhere.
            ann_file=data_root + '/ImageSets/Segmentation/train.txt',
            data_prefix=dict(
                img_path=data_root + '/JPEGImages', seg_map_path=labels
            ),
            pipeline=train_pipeline,
        ),
    ),
)
val_dataloader = dict(
    num_workers=2, dataset=dict(data_root=data_root, pipeline=test_pipeline)
)
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
        eta_min=0,
        begin=0,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    )
]
log_processor = dict(by_epoch=True)
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=4)
custom_hooks = [
    dict(type='mmwsl.EpochSeedHook'),
    dict(type='mmwsl.PseudoLabelGuardHook'),
    dict(type='mmwsl.DenseCRFHook'),
]
# Tests refine by a CRF, validation during training does not.
custom_hooks = [
    dict(type='mmwsl.EpochSeedHook'),
    dict(type='mmwsl.PseudoLabelGuardHook'),
    dict(type='mmwsl.DenseCRFHook'),
]
