# ILSVRC 2012: 1.28 million images of 1,000 classes for training; the 50,000
# of its validation set are the test set.
# Metadata of https://github.com/clovaai/wsolevaluation; see docs/wsol.md.
_base_ = 'wsol_cub.py'
metadata = 'metadata/ILSVRC'
data_prefix = dict(img_path='dataset/ILSVRC')
num_classes = 1000
images = dict(data_prefix=data_prefix, num_classes=num_classes)
train_dataloader = dict(dataset=dict(ann_file=f'{metadata}/train', **images))
val_dataloader = dict(dataset=dict(ann_file=f'{metadata}/test', **images))
test_dataloader = val_dataloader
