# Writes the classifier's class maps of the training pictures.
_base_ = './cls_r18_toy.py'
data_root = 'data/toy'
out_dir = 'work_dirs/cams_r18_toy'
predict_pipeline = [dict(type='LoadWSLImage'), dict(type='PackWSLInputs')]
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='VOCImageLevelDataset',
        data_root=data_root,
        ann_file='ImageSets/Segmentation/train.txt',
        metainfo=dict(classes=data_root + '/classes.txt'),
        pipeline=predict_pipeline,
    )
)
test_evaluator = dict(
    _delete_=True,
    type='PseudoLabelWriter',
    out_dir=out_dir,
    label_maps=False,
    soft_maps=True,
)
