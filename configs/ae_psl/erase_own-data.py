# Adversarial erasing of own images, see erase_mobilenet-v2_voc12-2007.py.
_base_ = '../cam/cam_own-data.py'
saliency = 'work_dirs/saliency'
train_pipeline = [
    _base_.train_pipeline[0],
    dict(type='EraseRegions'),
    *_base_.train_pipeline[1:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
train_cfg = dict(
    _delete_=True,
    type='AdversarialErasingLoop',
    num_steps=4,
    # Those of one step, and so are schedules.
    epochs=None,
    # A step whose loss is so many times the first one's is not merged.
    stop_factor=2.5,
    val_interval=100,
    saliency_dir=saliency,
    predict_dataloader=dict(
        batch_size=1,
        num_workers=1,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            _base_.own,
            pipeline=[
                _base_.load,
                dict(type='EraseRegions'),
                _base_.resize,
                dict(type='PackWSLInputs'),
            ],
        ),
    ),
)
custom_hooks = [dict(type='EpochSeedHook')]
