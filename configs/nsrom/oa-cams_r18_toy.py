# Writes the integral model's class maps of the training images.
_base_ = './oa_r18_toy.py'
out_dir = 'work_dirs/oa-cams_r18_toy'
predict = dict(out_dir=out_dir)
