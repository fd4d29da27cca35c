# Writes what a segmentor sees in the training images, refined by a CRF.
_base_ = './seg_mobilenet-v2_voc12-2007.py'
out_dir = 'work_dirs/seg-predict_mobilenet-v2_voc12-2007'
predict = dict(out_dir=out_dir)
