# COCO 2014, whole images of 448 x 448, labels and counts; a crowd is one object,
# as in the published runs.
_base_ = '_loaders.py'
data_root = 'data/coco'
train_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='Resize', scale=(448, 448), backend='pillow'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackWSLInputs'),
]
test_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='Resize', scale=(448, 448), backend='pillow'),
    dict(type='PackWSLInputs'),
]
source = dict(
    type='COCOImageLevelDataset', data_root=data_root, crowd_count=True
)
train_dataloader = dict(
    num_workers=4,
    dataset=dict(
        source,
        ann_file='annotations/instances_train2014.json',
        data_prefix=dict(img_path='train2014'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=4,
    dataset=dict(
        source,
        ann_file='annotations/instances_val2014.json',
        data_prefix=dict(img_path='val2014'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = [dict(type='CountMetric'), dict(type='MultiLabelMetric')]
test_evaluator = val_evaluator
