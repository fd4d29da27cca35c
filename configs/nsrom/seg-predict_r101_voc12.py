# Writes what a segmentor sees in the training images, refined by a CRF.
_base_ = './seg_r101_voc12.py'
out_dir = 'work_dirs/seg-predict_r101_voc12'
predict = dict(out_dir=out_dir)
