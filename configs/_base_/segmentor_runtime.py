# For segmentors of mmseg that learn from pseudo labels, by epochs: runs are
# reproducible, also when they are broken off and resumed, and ground truth is
# refused as label maps. With mmseg's runtime beside it, which logs by
# iterations, a config also needs log_processor = dict(by_epoch=True).
randomness = dict(seed=0)
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=10),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook',
        interval=1,
        max_keep_ckpts=2,
        save_best='mIoU',
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    sync_buffers=dict(type='SyncBuffersHook'),
    checks=dict(type='mmwsl.RunCheckHook'),
    visualization=dict(type='mmseg.SegVisualizationHook'),
)
custom_hooks = [
    dict(type='mmwsl.EpochSeedHook'),
    dict(type='mmwsl.PseudoLabelGuardHook'),
]
val_cfg = dict()
test_cfg = dict()
