# DeepLab-LargeFOV on VGG-16 with prohibitive segmentation learning.
_base_ = './psl_mobilenet-v2_voc12-2007.py'
data_root = 'data/VOCdevkit/VOC2012'
labels = 'work_dirs/erase_vgg16_voc12/labels'
ann_file = 'ImageSets/Segmentation/trainaug.txt'
crop_size = (321, 321)
max_epochs = 15
model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        size=crop_size,
    ),
    backbone=dict(
        _delete_=True,
        type='mmwsl.TorchvisionBackbone',
        arch='vgg16',
        output_stride=8,
        # pool4 of 3 x 3, as DeepLab has it.
        layers={'features.23': dict(kernel_size=3, padding=1)},
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://vgg16'),
    ),
    decode_head=dict(
        in_channels=512,
        weighted_test=True,
        decode_head=dict(
            _delete_=True,
            type='mmwsl.LargeFOVHead',
            in_channels=512,
            num_classes=21,
        ),
    ),
)
image_labels = dict(data_root=data_root, ann_file=ann_file)
train_pipeline = [
    dict(type='mmwsl.LoadWSLImage'),
    dict(type='mmseg.LoadAnnotations'),
    dict(type='mmseg.RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='mmwsl.PackLabelledSegInputs',
        labels=dict(type='mmwsl.VOCImageLevelDataset', **image_labels),
    ),
]
test_pipeline = [
    dict(type='mmwsl.LoadWSLImage'),
    dict(type='mmseg.LoadAnnotations'),
    dict(type='mmseg.PackSegInputs'),
]
train_dataloader = dict(
    batch_size=30,
    num_workers=4,
    dataset=dict(
        dataset=dict(
            ann_file=data_root + '/' + ann_file,
            data_prefix=dict(
                img_path=data_root + '/JPEGImages', seg_map_path=labels
            ),
            pipeline=train_pipeline,
        )
    ),
)
val_dataloader = dict(
    num_workers=4, dataset=dict(data_root=data_root, pipeline=test_pipeline)
)
test_dataloader = val_dataloader
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=1e-3, momentum=0.9, weight_decay=5e-4),
    # New layers learn faster.
    paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10)}),
)
param_scheduler = [dict(type='StepLR', step_size=6, gamma=0.1, by_epoch=True)]
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
