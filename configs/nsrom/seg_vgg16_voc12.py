# DeepLab-LargeFOV on VGG-16 that learns from label maps of an earlier stage.
_base_ = '../ae_psl/psl_vgg16_voc12.py'
labels = 'work_dirs/nsrom_mined/labels'
# 10,582 images, 10 a batch: 20,102 iterations.
max_epochs = 19
model = dict(
    decode_head=dict(_delete_=True, **_base_.model.decode_head.decode_head)
)
train_pipeline = [
    dict(type='mmwsl.LoadWSLImage'),
    dict(type='mmseg.LoadAnnotations'),
    # The images' long sides have 500 pixels.
    dict(
        type='RandomResize',
        scale=(500, 500),
        ratio_range=(0.5, 1.5),
        keep_ratio=True,
    ),
    dict(type='mmseg.RandomCrop', crop_size=_base_.crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmseg.PackSegInputs'),
]
train_dataloader = dict(
    batch_size=10,
    dataset=dict(
        dataset=dict(
            data_prefix=dict(seg_map_path=labels), pipeline=train_pipeline
        )
    ),
)
param_scheduler = [
    dict(
        type='PolyLR',
        power=0.9,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    )
]
train_cfg = dict(max_epochs=max_epochs)
# With all classes, as the CRF leaves them.
predict = dict(crf=dict(_delete_=True))
