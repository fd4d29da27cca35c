# Writes the classifier's class maps of the training images.
_base_ = './cls_r18_toy.py'
out_dir = 'work_dirs/cams_r18_toy'
predict = dict(out_dir=out_dir)
