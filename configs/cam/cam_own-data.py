# CAM of own images: tools/train.py CONFIG --cfg-options data_root=DIR
_base_ = [
    '../_base_/models/cam_cnn.py',
    '../_base_/datasets/own.py',
    '../_base_/schedules/adamw_by-data.py',
    '../_base_/default_runtime.py',
]
# Label maps for a segmentor: refined by a CRF, what is uncertain is ignored.
custom_hooks = [dict(type='EpochSeedHook'), dict(type='DenseCRFHook')]
predict = dict(soft_maps=True, crf=dict(min_probability=0.7))
