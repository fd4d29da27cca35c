# PASCAL VOC 2012, whole images of 448 x 448, for methods that count or find
# single objects: nothing is cut off, so the counts stay right. Trained on the
# classification set, evaluated on the segmentation validation set.
data_root = 'data/VOCdevkit/VOC2012'
train_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='Resize', scale=(448, 448)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackWSLInputs'),
]
test_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='Resize', scale=(448, 448)),
    # Proposals, of which the best is retrieved for each peak:
    # dict(type='LoadProposals', folder='data/proposals'),
    dict(type='LoadEvalAnnotations', with_masks=True),
    dict(type='PackWSLInputs', eval_keys=('gt_sem_seg', 'gt_instances')),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='VOCImageLevelDataset',
        data_root=data_root,
        ann_file='ImageSets/Main/train.txt',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='VOCImageLevelDataset',
        data_root=data_root,
        ann_file='ImageSets/Segmentation/val.txt',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = [dict(type='MultiLabelMetric'), dict(type='InstanceAPMetric')]
test_evaluator = val_evaluator
