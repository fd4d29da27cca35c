# Writes the classifier's class maps of the training images.
_base_ = './cls_vgg16_voc12.py'
ann_file = 'ImageSets/Segmentation/trainaug.txt'
out_dir = 'work_dirs/cams_vgg16_voc12'
predict_pipeline = [
    dict(type='LoadWSLImage'),
    dict(type='Resize', scale=(256, 256)),
    dict(type='PackWSLInputs'),
]
test_dataloader = dict(
    dataset=dict(ann_file=ann_file, pipeline=predict_pipeline)
)
test_evaluator = dict(
    _delete_=True,
    type='PseudoLabelWriter',
    out_dir=out_dir,
    label_maps=False,
    soft_maps=True,
)
