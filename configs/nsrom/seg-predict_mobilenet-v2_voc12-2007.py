# Writes what a segmentor sees in the training images, refined by a CRF, with
# the classes that the image labels name and no others.
_base_ = './seg_mobilenet-v2_voc12-2007.py'
data_root = 'data/voc12_2007'
out_dir = 'work_dirs/seg-predict_mobilenet-v2_voc12-2007'
predict_pipeline = [
    dict(type='mmwsl.LoadWSLImage'),
    dict(type='Resize', scale=(1024, 256), keep_ratio=True),
    dict(
        type='mmwsl.PackLabelledSegInputs',
        labels=dict(
            type='mmwsl.VOCImageLevelDataset',
            data_root=data_root,
            ann_file='ImageSets/Segmentation/train.txt',
        ),
    ),
]
test_dataloader = dict(
    dataset=dict(
        ann_file='ImageSets/Segmentation/train.txt',
        # No masks.
        data_prefix=dict(_delete_=True, img_path='JPEGImages'),
        pipeline=predict_pipeline,
    )
)
test_evaluator = dict(
    _delete_=True, type='mmwsl.PseudoLabelWriter', out_dir=out_dir
)
custom_hooks = [
    dict(type='mmwsl.EpochSeedHook'),
    dict(type='mmwsl.PseudoLabelGuardHook'),
    dict(type='mmwsl.DenseCRFHook', given_only=True),
]
