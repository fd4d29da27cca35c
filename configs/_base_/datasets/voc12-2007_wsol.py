# The images of 2007 in PASCAL VOC 2012's segmentation sets, one entry for each
# image and class; images='single' leaves the images of one class only. An
# entry is measured by the boxes and the mask of its class.
_base_ = '_loaders.py'
data_root = 'data/voc12_2007'
train_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='Resize', scale=(256, 256), backend='pillow'),
    dict(type='RandomCrop', size=224),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackWSLInputs'),
]
test_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='Resize', scale=(224, 224), backend='pillow'),
    dict(
        type='LoadEvalAnnotations',
        with_seg_map=False,
        with_instances=True,
        with_loc_mask=True,
    ),
    dict(type='PackWSLInputs', eval_keys=('gt_instances', 'gt_loc_mask')),
]
entries = dict(type='SingleLabelEntries', images='all')
source = dict(type='VOCImageLevelDataset', data_root=data_root)
train_dataloader = dict(
    batch_size=32,
    dataset=dict(
        **entries,
        source=dict(**source, ann_file='ImageSets/Segmentation/train.txt'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=32,
    dataset=dict(
        **entries,
        source=dict(**source, ann_file='ImageSets/Segmentation/val.txt'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='MaxBoxAccMetric'),
    dict(type='PxAPMetric'),
    dict(type='AccuracyMetric', topk=(1, 5)),
]
test_evaluator = val_evaluator
