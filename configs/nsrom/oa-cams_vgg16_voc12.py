# Writes the integral model's class maps of the training images.
_base_ = './oa_vgg16_voc12.py'
out_dir = 'work_dirs/oa-cams_vgg16_voc12'
predict = dict(out_dir=out_dir)
