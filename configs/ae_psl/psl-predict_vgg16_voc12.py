# Label maps for PSL+, see psl-predict_mobilenet-v2_voc12-2007.py.
_base_ = './psl_vgg16_voc12.py'
data_root = 'data/VOCdevkit/VOC2012'
ann_file = 'ImageSets/Segmentation/trainaug.txt'
out_dir = 'work_dirs/psl-predict_vgg16_voc12'
test_dataloader = dict(
    dataset=dict(
        ann_file=ann_file,
        # No masks.
        data_prefix=dict(_delete_=True, img_path='JPEGImages'),
        pipeline=[
            dict(type='mmwsl.LoadWSLImage'),
            dict(
                type='mmwsl.PackLabelledSegInputs',
                labels=dict(
                    type='mmwsl.VOCImageLevelDataset',
                    data_root=data_root,
                    ann_file=ann_file,
                ),
            ),
        ],
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
