# The images of 2007 in PASCAL VOC 2012's segmentation sets: 311 for
# training and 161 for validation. Only image labels reach the training.
_base_ = 'voc12_448.py'
data_root = 'data/voc12_2007'
train_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='RandomResizedCrop', scale=320, crop_ratio_range=(0.2, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='ColorJitter', brightness=0.3, contrast=0.3, saturation=0.3),
    dict(type='PackWSLInputs'),
]
test_pipeline = [
    dict(type='LoadWSLImage'),
    # A short side of 320.
    dict(type='Resize', scale=(1280, 320), keep_ratio=True),
    dict(type='LoadEvalAnnotations', with_seg_map=True),
    dict(type='PackWSLInputs', eval_keys=('gt_sem_seg',)),
]
train_dataloader = dict(
    num_workers=2,
    dataset=dict(
        data_root=data_root,
        ann_file='ImageSets/Segmentation/train.txt',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=2,
    dataset=dict(data_root=data_root, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
