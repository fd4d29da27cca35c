# A segmentor for toy pictures that learns from label maps of an earlier
# stage, from scratch.
_base_ = '../ae_psl/psl_r18_toy.py'
labels = 'work_dirs/nsrom_mined/labels'
model = dict(
    decode_head=dict(
        _delete_=True,
        type='mmwsl.DeepLabV2Head',
        in_channels=128,
        num_classes=7,
        # For maps of 14 x 14.
        dilations=(1, 2, 3, 4),
    )
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical']),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            data_prefix=dict(seg_map_path=labels), pipeline=train_pipeline
        )
    )
)
