# Prohibitive segmentation learning on toy pictures. Labels are
# what erase_r18_toy.py wrote, or for PSL+ psl-predict_r18_toy.py.
_base_ = [
    'mmseg::_base_/default_runtime.py',
    '../_base_/models/segmentor.py',
    '../_base_/datasets/voc_seg.py',
    '../_base_/schedules/adamw_4e.py',
    '../_base_/segmentor_runtime.py',
]
data_root = 'data/toy'
labels = 'work_dirs/erase_r18_toy/labels'
# There is no ImageNet for toy pictures: the first classifier takes its place.
weights = 'work_dirs/erase_r18_toy/step_1.pth'
max_epochs = 10
metainfo = dict(
    classes=('background', 'ant', 'bee', 'cod', 'doe', 'emu', 'fox'),
    palette=[
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [128, 128, 0],
        [0, 0, 128],
        [128, 0, 128],
        [0, 128, 128],
    ],
)
image_labels = dict(
    type='mmwsl.VOCImageLevelDataset',
    data_root=data_root,
    ann_file='ImageSets/Segmentation/train.txt',
    metainfo=dict(classes=data_root + '/classes.txt'),
)
model = dict(
    data_preprocessor=dict(size=(112, 112)),
    backbone=dict(
        type='mmwsl.TorchvisionBackbone',
        arch='resnet18',
        out_indices=(1,),
        init_cfg=dict(type='Pretrained', checkpoint=weights),
    ),
    decode_head=dict(
        type='mmwsl.PSLHead',
        in_channels=128,
        decode_head=dict(
            type='mmwsl.LargeFOVHead',
            in_channels=128,
            num_classes=7,
            channels=128,
            dilation=2,
            dropout_ratio=0.1,
            pools=(),
        ),
    ),
)
train_pipeline = [
    dict(type='mmwsl.LoadWSLImage'),
    dict(type='mmseg.LoadAnnotations'),
    dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical']),
    dict(type='mmwsl.PackLabelledSegInputs', labels=image_labels),
]
pictures = dict(
    type='mmseg.BaseSegDataset', metainfo=metainfo, img_suffix='.png'
)
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    dataset=dict(
        dataset=dict(
            **pictures,
            ann_file=data_root + '/ImageSets/Segmentation/train.txt',
            data_prefix=dict(
                img_path=data_root + '/JPEGImages', seg_map_path=labels
            ),
            pipeline=train_pipeline,
        )
    ),
)
val_dataloader = dict(
    num_workers=1, dataset=dict(**pictures, data_root=data_root)
)
test_dataloader = val_dataloader
_base_.param_scheduler[0].total_steps = max_epochs
param_scheduler = _base_.param_scheduler
log_processor = dict(by_epoch=True)
train_cfg = dict(max_epochs=max_epochs, val_interval=3)
# Tests refine by a CRF, validation during training does not. Pictures of 112
# pixels need less smoothing: the kernel of neighbours would take the rims of
# small objects.
crf = dict(gaussian=(0, 1), bilateral=(4, 20, 10))
custom_hooks = [
    dict(type='mmwsl.EpochSeedHook'),
    dict(type='mmwsl.PseudoLabelGuardHook'),
    dict(type='mmwsl.DenseCRFHook', crf=crf),
]
# As in psl_mobilenet-v2_voc12-2007.py; undecided pixels are left to PSL+.
predict = dict(
    model=dict(decode_head=dict(weighted_test=False)),
    crf=dict(given_only=True, min_probability=0.95),
)
