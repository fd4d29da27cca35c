# Adversarial erasing. One run gives the regions of all steps and the label
# maps, in regions/ and labels/ of its work_dir.
_base_ = [
    '../_base_/models/cam_mobilenet-v2.py',
    '../_base_/datasets/voc12-2007_320.py',
    '../_base_/schedules/adamw_12e.py',
    '../_base_/default_runtime.py',
]
data_root = 'data/voc12_2007'
epochs = 5
train_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='EraseRegions'),
    dict(type='RandomResizedCrop', scale=256, crop_ratio_range=(0.3, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='ColorJitter', brightness=0.3, contrast=0.3, saturation=0.3),
    dict(type='PackWSLInputs'),
]
predict_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='EraseRegions'),
    # A short side of 256.
    dict(type='Resize', scale=(1024, 256), keep_ratio=True),
    dict(type='PackWSLInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
# Schedules are those of one step.
_base_.param_scheduler[0].T_max = epochs
param_scheduler = _base_.param_scheduler
train_cfg = dict(
    _delete_=True,
    type='AdversarialErasingLoop',
    num_steps=4,
    epochs=epochs,
    # A step whose loss is so many times the first one's is not merged.
    stop_factor=2.5,
    val_interval=100,
    saliency_dir=data_root + '/SaliencyMaps',
    predict_dataloader=dict(
        batch_size=1,
        num_workers=1,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='VOCImageLevelDataset',
            data_root=data_root,
            ann_file='ImageSets/Segmentation/train.txt',
            pipeline=predict_pipeline,
        ),
    ),
)
