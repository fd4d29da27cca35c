# A segmentor of own images that learns from label maps of an earlier stage.
_base_ = [
    'mmseg::_base_/default_runtime.py',
    '../_base_/models/segmentor_cnn.py',
    '../_base_/datasets/own_seg.py',
    '../_base_/schedules/adamw_by-data.py',
    '../_base_/segmentor_runtime.py',
]
augmentations = [
    _base_.rescale,
    dict(type='mmseg.RandomCrop', crop_size=_base_.crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmseg.PhotoMetricDistortion'),
]
train_pipeline = [
    _base_.load,
    dict(type='mmseg.LoadAnnotations'),
    *augmentations,
    dict(type='mmseg.PackSegInputs'),
]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.05)}),
)
default_hooks = dict(checkpoint=dict(save_best=None))
log_processor = dict(by_epoch=True)
val_cfg = None
val_evaluator = None
# A test by tools/test.py refines by a CRF.
custom_hooks = [
    dict(type='mmwsl.EpochSeedHook'),
    dict(type='mmwsl.PseudoLabelGuardHook'),
    dict(type='mmwsl.DenseCRFHook'),
]
predict = dict(crf=dict(given_only=True))
