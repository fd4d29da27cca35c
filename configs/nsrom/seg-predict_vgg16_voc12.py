# Writes what a segmentor sees in the training images, refined by a CRF.
_base_ = './seg_vgg16_voc12.py'
data_root = 'data/VOCdevkit/VOC2012'
out_dir = 'work_dirs/seg-predict_vgg16_voc12'
predict_pipeline = [
    dict(type='mmwsl.LoadWSLImage'),
    dict(type='mmseg.PackSegInputs'),
]
test_dataloader = dict(
    dataset=dict(
        ann_file='ImageSets/Segmentation/trainaug.txt',
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
