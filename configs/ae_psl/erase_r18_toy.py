# Adversarial erasing on toy pictures on disk.
_base_ = [
    '../_base_/models/cam_r18_scratch.py',
    '../_base_/datasets/toy_files.py',
    '../_base_/schedules/adamw_4e.py',
    '../_base_/default_runtime.py',
]
epochs = 4
model = dict(backbone=dict(out_indices=(1,)), head=dict(in_channels=128))
train_pipeline = [
    _base_.train_pipeline[0],
    dict(type='EraseRegions'),
    *_base_.train_pipeline[1:],
]
predict_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='EraseRegions'),
    dict(type='PackWSLInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
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
    saliency_dir=_base_.data_root + '/SaliencyMaps',
    predict_dataloader=dict(
        batch_size=32,
        num_workers=1,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(_base_.dataset, pipeline=predict_pipeline),
    ),
)
