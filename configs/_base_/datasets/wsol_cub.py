# CUB-200-2011: 5,994 images of 200 birds for training, 5,794 for testing.
# Metadata of https://github.com/clovaai/wsolevaluation; see docs/wsol.md.
_base_ = '_loaders.py'
data_root = 'data/wsol'
metadata = 'metadata/CUB'
data_prefix = dict(img_path='dataset/CUB')
num_classes = 200
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
    dict(type='LoadEvalAnnotations', with_seg_map=False, with_instances=True),
    dict(type='PackWSLInputs', eval_keys=('gt_instances',)),
]
source = dict(
    type='WSOLDataset',
    data_root=data_root,
    data_prefix=data_prefix,
    num_classes=num_classes,
)
train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    dataset=dict(
        source, ann_file=f'{metadata}/train', pipeline=train_pipeline
    ),
)
# The set that papers report on; metadata/.../val is for choosing settings.
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    dataset=dict(
        source,
        ann_file=f'{metadata}/test',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = [dict(type='MaxBoxAccMetric'), dict(type='AccuracyMetric')]
test_evaluator = val_evaluator
