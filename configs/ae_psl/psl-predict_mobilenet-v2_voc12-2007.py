# Writes label maps for PSL+: what the segmentor sees in the training images.
_base_ = './psl_mobilenet-v2_voc12-2007.py'
out_dir = 'work_dirs/psl-predict_mobilenet-v2_voc12-2007'
predict = dict(out_dir=out_dir)
