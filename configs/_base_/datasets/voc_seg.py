# Images in VOC's layout for segmentors of mmseg: label maps of an earlier stage
# to learn from, masks of other images to judge by.
_base_ = '_loaders.py'
data_root = 'data/voc12_2007'
labels = 'work_dirs/labels'
# For branches that learn from image labels, and for predictions of given
# classes alone.
image_labels = dict(
    type='mmwsl.VOCImageLevelDataset',
    data_root=data_root,
    ann_file='ImageSets/Segmentation/train.txt',
)
test_pipeline = [
    dict(type='mmwsl.LoadWSLImage'),
    dict(type='mmseg.LoadAnnotations'),
    dict(type='mmseg.PackSegInputs'),
]
train_dataloader = dict(
    dataset=dict(
        type='mmwsl.SeededDataset',
        dataset=dict(
            type='mmseg.PascalVOCDataset',
            # Whole paths, for labels lie elsewhere.
            ann_file=data_root + '/ImageSets/Segmentation/train.txt',
            data_prefix=dict(
                img_path=data_root + '/JPEGImages', seg_map_path=labels
            ),
        ),
    ),
)
val_dataloader = dict(
    dataset=dict(
        type='mmseg.PascalVOCDataset',
        data_root=data_root,
        ann_file='ImageSets/Segmentation/val.txt',
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClass'
        ),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mmseg.IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
