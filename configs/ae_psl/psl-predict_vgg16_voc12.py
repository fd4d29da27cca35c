# Writes label maps for PSL+: what the segmentor sees in the training images.
_base_ = './psl_vgg16_voc12.py'
out_dir = 'work_dirs/psl-predict_vgg16_voc12'
predict = dict(out_dir=out_dir)
