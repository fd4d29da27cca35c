# Adversarial erasing on toy pictures that tools/dataset_converters/
# toy_to_voc.py has written with --png; validation draws its own.
_base_ = [
    '../_base_/models/cam_r18_scratch.py',
    '../_base_/datasets/toy.py',
    '../_base_/schedules/adamw_4e.py',
    '../_base_/default_runtime.py',
]
data_root = 'data/toy'
epochs = 4
model = dict(backbone=dict(out_indices=(1,)), head=dict(in_channels=128))
train_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='EraseRegions'),
    dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical']),
    dict(type='PackWSLInputs'),
]
predict_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='EraseRegions'),
    dict(type='PackWSLInputs'),
]
dataset = dict(
    type='VOCImageLevelDataset',
    data_root=data_root,
    ann_file='ImageSets/Segmentation/train.txt',
    metainfo=dict(classes=data_root + '/classes.txt'),
)
train_dataloader = dict(
    dataset=dict(_delete_=True, **dataset, pipeline=train_pipeline)
)
# Schedules are those of one step.
_base_.param_scheduler[0].total_steps = epochs
param_scheduler = _base_.param_scheduler
train_cfg = dict(
    _delete_=True,
    type='AdversarialErasingLoop',
    num_steps=3,
    epochs=epochs,
    # Heads are some 2 % of a picture.
    fraction=0.06,
    val_interval=100,
    saliency_dir=data_root + '/SaliencyMaps',
    predict_dataloader=dict(
        batch_size=32,
        num_workers=1,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(**dataset, pipeline=predict_pipeline),
    ),
)
