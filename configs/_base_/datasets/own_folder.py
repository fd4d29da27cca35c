# Own images, one folder a class:
#
#     data/own/train/cat/1.jpg    data/own/val/cat/7.jpg
#     data/own/train/dog/1.jpg    data/own/val/dog/7.jpg
#
# For several labels an image give a CSV file as ann_file, with lines
# "path,label|label" or, to count, "path,class,count".
_base_ = '_loaders.py'
data_root = 'data/own'
metainfo = dict(classes=('cat', 'dog'))
train_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.3, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='ColorJitter', brightness=0.3, contrast=0.3, saturation=0.3),
    dict(type='PackWSLInputs'),
]
test_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='Resize', scale=(448, 288), keep_ratio=True),
    dict(type='PackWSLInputs'),
]
source = dict(type='FolderDataset', data_root=data_root, metainfo=metainfo)
train_dataloader = dict(
    drop_last=False,
    dataset=dict(
        source, data_prefix=dict(img_path='train'), pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    dataset=dict(
        source,
        data_prefix=dict(img_path='val'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = [dict(type='AccuracyMetric', topk=(1,))]
test_evaluator = val_evaluator
