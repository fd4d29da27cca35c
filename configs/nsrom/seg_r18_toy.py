# A segmentor for toy pictures that learns from label maps of an earlier
# stage. There is no ImageNet for toy pictures: it begins with what the
# classifier has learned.
_base_ = '../ae_psl/psl_r18_toy.py'
labels = 'work_dirs/nsrom_mined/labels'
weights = 'work_dirs/cls_r18_toy/epoch_8.pth'
max_epochs = 6
model = dict(
    backbone=dict(init_cfg=dict(checkpoint=weights)),
    decode_head=dict(
        _delete_=True,
        type='mmwsl.DeepLabV2Head',
        in_channels=128,
        num_classes=7,
        # For maps of 14 x 14.
        dilations=(1, 2, 3, 4),
    ),
)
train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(type='mmseg.PackSegInputs'),
]
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            data_prefix=dict(seg_map_path=labels), pipeline=train_pipeline
        )
    )
)
_base_.param_scheduler[0].total_steps = max_epochs
param_scheduler = _base_.param_scheduler
train_cfg = dict(max_epochs=max_epochs)
predict = dict(_delete_=True, crf=dict(crf=dict(bilateral=(4, 20, 10))))
