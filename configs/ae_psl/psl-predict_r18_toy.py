# Writes label maps for PSL+: what the segmentor sees in the training images.
_base_ = './psl_r18_toy.py'
out_dir = 'work_dirs/psl-predict_r18_toy'
predict = dict(out_dir=out_dir)
