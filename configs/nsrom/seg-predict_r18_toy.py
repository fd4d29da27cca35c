# Writes what a segmentor sees in the training pictures, refined by a CRF.
_base_ = './seg_r18_toy.py'
data_root = 'data/toy'
out_dir = 'work_dirs/seg-predict_r18_toy'
predict_pipeline = [
    dict(type='mmwsl.LoadWSLImage'),
    dict(type='mmseg.PackSegInputs'),
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
    _delete_=True,
    type='mmwsl.PseudoLabelWriter',
    out_dir=out_dir,
    img_dir=data_root + '/JPEGImages',
)
custom_hooks = [
    dict(type='mmwsl.EpochSeedHook'),
    dict(type='mmwsl.PseudoLabelGuardHook'),
    # Pictures of 112 pixels need less smoothing.
    dict(type='mmwsl.DenseCRFHook', crf=dict(bilateral=(4, 20, 10))),
]
