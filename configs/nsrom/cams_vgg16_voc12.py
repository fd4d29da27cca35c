# Writes the classifier's class maps of the training images.
_base_ = './cls_vgg16_voc12.py'
out_dir = 'work_dirs/cams_vgg16_voc12'
predict = dict(out_dir=out_dir)
