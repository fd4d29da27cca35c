# Adversarial erasing as published: VGG-16 with its fully connected layers as
# convolutions, 5 epochs a step, the regions of 3 steps.
_base_ = [
    '../_base_/models/cam_vgg16.py',
    '../_base_/datasets/voc12_448.py',
    '../_base_/default_runtime.py',
]
data_root = 'data/VOCdevkit/VOC2012'
# The 10,582 images of 'trainaug'.
ann_file = 'ImageSets/Segmentation/trainaug.txt'
epochs = 5
model = dict(
    neck=dict(type='LargeFOVNeck', in_channels=512, dilation=2),
    head=dict(in_channels=1024),
)
train_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='EraseRegions'),
    dict(type='RandomResizedCrop', scale=321, crop_ratio_range=(0.3, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackWSLInputs'),
]
predict_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='EraseRegions'),
    dict(type='PackWSLInputs'),
]
train_dataloader = dict(
    batch_size=30, dataset=dict(ann_file=ann_file, pipeline=train_pipeline)
)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=1e-3, momentum=0.9, weight_decay=5e-4),
    # New layers learn faster.
    paramwise_cfg=dict(
        custom_keys={'neck': dict(lr_mult=10), 'head': dict(lr_mult=10)}
    ),
)
# Schedules are those of one step.
param_scheduler = [dict(type='StepLR', step_size=4, gamma=0.1, by_epoch=True)]
train_cfg = dict(
    type='AdversarialErasingLoop',
    num_steps=3,
    epochs=epochs,
    val_interval=epochs,
    saliency_dir=data_root + '/SaliencyMaps',
    predict_dataloader=dict(
        batch_size=1,
        num_workers=4,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='VOCImageLevelDataset',
            data_root=data_root,
            ann_file=ann_file,
            pipeline=predict_pipeline,
        ),
    ),
)
