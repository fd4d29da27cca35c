# The classifier as published: VGG-16 to conv5 at stride 8, three
# convolutions, a graph reasoning unit. Its attention is accumulated while it
# trains.
_base_ = [
    '../_base_/models/cam_vgg16.py',
    '../_base_/datasets/voc12_448.py',
    '../_base_/default_runtime.py',
]
data_root = 'data/VOCdevkit/VOC2012'
# The 10,582 images of 'trainaug'.
ann_file = 'ImageSets/Segmentation/trainaug.txt'
max_epochs = 15
model = dict(neck=dict(type='GraphReasoningNeck', in_channels=512))
# Whole images of one size: the maps of all epochs have to fit together.
train_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='Resize', scale=(256, 256), backend='pillow'),
    dict(
        type='ColorJitter',
        brightness=0.3,
        contrast=0.3,
        saturation=0.3,
        hue=0.1,
    ),
    dict(type='PackWSLInputs'),
]
test_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='Resize', scale=(256, 256), backend='pillow'),
    dict(type='LoadEvalAnnotations', with_seg_map=True),
    dict(type='PackWSLInputs', eval_keys=('gt_sem_seg',)),
]
train_dataloader = dict(
    batch_size=5,
    drop_last=False,
    dataset=dict(ann_file=ann_file, pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
# The new layers with a bias.
new_layers = (
    'neck.convs.0',
    'neck.convs.2',
    'neck.convs.4',
    'neck.graph.state',
    'neck.graph.projection',
    'neck.graph.adjacency',
    'neck.graph.norm',
    'head.classifier',
)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='SGD', lr=1e-3, momentum=0.9, nesterov=True, weight_decay=5e-4
    ),
    # New layers learn ten times as fast, and biases twice as fast as weights.
    paramwise_cfg=dict(
        bias_lr_mult=2,
        custom_keys={
            'neck': dict(lr_mult=10),
            'head': dict(lr_mult=10),
            **{f'{name}.bias': dict(lr_mult=20) for name in new_layers},
        },
    ),
)
param_scheduler = [
    dict(type='MultiStepLR', milestones=[5, 10], gamma=0.1, by_epoch=True)
]
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=5)
custom_hooks = [
    dict(type='EpochSeedHook'),
    dict(type='AttentionAccumulationHook'),
]
# What later stages take from it.
predict = dict(label_maps=False, soft_maps=True)
