# OpenImages30k: 29,819 images of 100 classes for training, 5,000 with masks
# for testing.
# Metadata of https://github.com/clovaai/wsolevaluation; see docs/wsol.md.
data_root = 'data/wsol'
metadata = 'metadata/OpenImages'
data_prefix = dict(
    img_path='dataset/OpenImages', mask_path='dataset/OpenImages'
)
num_classes = 100
train_pipeline = [
    # Sizes and boxes of the metadata belong to images that are not turned.
    dict(type='LoadWSLImage', exif_orientation=False),
    dict(type='Resize', scale=(256, 256), backend='pillow'),
    dict(type='RandomCrop', size=224),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackWSLInputs'),
]
test_pipeline = [
    dict(type='LoadWSLImage', exif_orientation=False),
    dict(type='Resize', scale=(224, 224), backend='pillow'),
    dict(type='LoadEvalAnnotations', with_seg_map=False, with_loc_mask=True),
    dict(type='PackWSLInputs', eval_keys=('gt_loc_mask',)),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='WSOLDataset',
        data_root=data_root,
        ann_file=f'{metadata}/train',
        data_prefix=data_prefix,
        num_classes=num_classes,
        pipeline=train_pipeline,
    ),
)
# The set that papers report on; metadata/.../val is for choosing settings.
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='WSOLDataset',
        data_root=data_root,
        ann_file=f'{metadata}/test',
        data_prefix=data_prefix,
        num_classes=num_classes,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = [dict(type='PxAPMetric'), dict(type='AccuracyMetric')]
test_evaluator = val_evaluator
