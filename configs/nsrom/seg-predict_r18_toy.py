# Writes what a segmentor sees in the training images, refined by a CRF.
_base_ = './seg_r18_toy.py'
out_dir = 'work_dirs/seg-predict_r18_toy'
predict = dict(out_dir=out_dir)
