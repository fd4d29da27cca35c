# Takes checkpoints that tools/model_converters/countseg.py has converted.
_base_ = ['./lc_r50_coco14.py', '../_base_/models/countseg.py']
model = dict(head=_base_.countseg)
