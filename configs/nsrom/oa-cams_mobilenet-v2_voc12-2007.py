# Writes the integral model's class maps of the training images.
_base_ = './oa_mobilenet-v2_voc12-2007.py'
out_dir = 'work_dirs/oa-cams_mobilenet-v2_voc12-2007'
predict = dict(out_dir=out_dir)
