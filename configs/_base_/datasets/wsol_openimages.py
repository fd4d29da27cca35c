# OpenImages30k: 29,819 images of 100 classes for training, 5,000 with masks
# for testing.
# Metadata of https://github.com/clovaai/wsolevaluation; see docs/wsol.md.
_base_ = 'wsol_cub.py'
metadata = 'metadata/OpenImages'
data_prefix = dict(
    img_path='dataset/OpenImages', mask_path='dataset/OpenImages'
)
num_classes = 100
images = dict(data_prefix=data_prefix, num_classes=num_classes)
test_pipeline = [
    *_base_.test_pipeline[:2],
    dict(type='LoadEvalAnnotations', with_seg_map=False, with_loc_mask=True),
    dict(type='PackWSLInputs', eval_keys=('gt_loc_mask',)),
]
train_dataloader = dict(dataset=dict(ann_file=f'{metadata}/train', **images))
val_dataloader = dict(
    dataset=dict(ann_file=f'{metadata}/test', pipeline=test_pipeline, **images)
)
test_dataloader = val_dataloader
val_evaluator = [dict(type='PxAPMetric'), dict(type='AccuracyMetric')]
test_evaluator = val_evaluator
