# Toy pictures that tools/dataset_converters/toy_to_voc.py has written with
# --png; validation draws its own.
_base_ = 'toy.py'
data_root = 'data/toy'
dataset = dict(
    type='VOCImageLevelDataset',
    data_root=data_root,
    ann_file='ImageSets/Segmentation/train.txt',
    metainfo=dict(classes=data_root + '/classes.txt'),
)
train_pipeline = [dict(type='LoadWSLImage'), *_base_.train_pipeline]
train_dataloader = dict(
    dataset=dict(_delete_=True, **dataset, pipeline=train_pipeline)
)
