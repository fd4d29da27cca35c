# PASCAL VOC 2012, whole images of 448 x 448, for methods that count or find
# single objects: nothing is cut off, so the counts stay right. Trained on the
# classification set, evaluated on the segmentation validation set.
_base_ = 'voc12_448.py'
train_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='Resize', scale=(448, 448), backend='pillow'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackWSLInputs'),
]
test_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='Resize', scale=(448, 448), backend='pillow'),
    # Proposals, of which the best is retrieved for each peak:
    # dict(type='LoadProposals', folder='data/proposals'),
    dict(type='LoadEvalAnnotations', with_masks=True),
    dict(type='PackWSLInputs', eval_keys=('gt_sem_seg', 'gt_instances')),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = [dict(type='InstanceAPMetric'), dict(type='MultiLabelMetric')]
test_evaluator = val_evaluator
