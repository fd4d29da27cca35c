# Writes the classifier's class maps of the training images.
_base_ = './cls_mobilenet-v2_voc12-2007.py'
out_dir = 'work_dirs/cams_mobilenet-v2_voc12-2007'
predict = dict(out_dir=out_dir)
