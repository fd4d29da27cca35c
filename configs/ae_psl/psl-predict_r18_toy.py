# Label maps for PSL+: what the segmentor sees in the training pictures, with
# the classes that the image labels name and no others, refined by a CRF.
_base_ = './psl_r18_toy.py'
data_root = 'data/toy'
out_dir = 'work_dirs/psl-predict_r18_toy'
# The image labels say which classes are there, so the branch need not.
model = dict(decode_head=dict(weighted_test=False))
test_dataloader = dict(
    dataset=dict(
        ann_file='ImageSets/Segmentation/train.txt',
        # No masks.
        data_prefix=dict(_delete_=True, img_path='JPEGImages'),
        pipeline=[
            dict(type='mmwsl.LoadWSLImage'),
            dict(
                type='mmwsl.PackLabelledSegInputs',
                labels=dict(
                    type='mmwsl.VOCImageLevelDataset',
                    data_root=data_root,
                    ann_file='ImageSets/Segmentation/train.txt',
                    metainfo=dict(classes=data_root + '/classes.txt'),
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
    dict(
        type='mmwsl.DenseCRFHook',
        given_only=True,
        crf={{_base_.crf}},
        # Undecided pixels are left to PSL+.
        min_probability=0.95,
    ),
]
