# Counting as published, on the test set of VOC 2007. A class that only difficult
# objects show is absent.
_base_ = './lc_r50_voc12-448.py'
data_root = 'data/VOCdevkit/VOC2007'
test_pipeline = [*_base_.test_pipeline[:2], dict(type='PackWSLInputs')]
voc07 = dict(data_root=data_root, difficult_label=False)
train_dataloader = dict(dataset=voc07)
val_dataloader = dict(
    dataset=dict(
        ann_file='ImageSets/Main/test.txt', pipeline=test_pipeline, **voc07
    )
)
test_dataloader = val_dataloader
model = dict(head=dict(instances=False))
val_evaluator = [dict(type='CountMetric'), dict(type='MultiLabelMetric')]
test_evaluator = val_evaluator
