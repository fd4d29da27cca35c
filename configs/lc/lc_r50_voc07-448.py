# Counting as in the paper, on the test set of VOC 2007.
_base_ = './lc_r50_voc12-448.py'
data_root = 'data/VOCdevkit/VOC2007'
test_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='Resize', scale=(448, 448)),
    dict(type='PackWSLInputs'),
]
train_dataloader = dict(
    dataset=dict(data_root=data_root, ann_file='ImageSets/Main/trainval.txt')
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='ImageSets/Main/test.txt',
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader
model = dict(head=dict(instances=False))
val_evaluator = [dict(type='CountMetric'), dict(type='MultiLabelMetric')]
test_evaluator = val_evaluator
