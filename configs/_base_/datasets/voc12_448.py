# PASCAL VOC 2012: the classification training set, and the segmentation
# validation set, whose masks only the evaluation sees. Papers on seeds train
# on the 10,582 images of 'trainaug': give its list as ann_file of the
# training set.
_base_ = '_loaders.py'
data_root = 'data/VOCdevkit/VOC2012'
train_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='RandomResizedCrop', scale=448, crop_ratio_range=(0.3, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='ColorJitter', brightness=0.3, contrast=0.3, saturation=0.3),
    dict(type='PackWSLInputs'),
]
test_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='LoadEvalAnnotations', with_seg_map=True),
    dict(type='PackWSLInputs', eval_keys=('gt_sem_seg',)),
]
train_dataloader = dict(
    num_workers=4,
    dataset=dict(
        type='VOCImageLevelDataset',
        data_root=data_root,
        ann_file='ImageSets/Main/train.txt',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=4,
    dataset=dict(
        type='VOCImageLevelDataset',
        data_root=data_root,
        ann_file='ImageSets/Segmentation/val.txt',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = [dict(type='SeedIoUMetric'), dict(type='MultiLabelMetric')]
test_evaluator = val_evaluator
