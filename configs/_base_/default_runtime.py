default_scope = 'mmwsl'
# Everything random follows from this seed: two runs of one config are equal.
randomness = dict(seed=0)
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=10),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook',
        interval=1,
        max_keep_ckpts=2,
        # The first value of the first metric is the main one.
        save_best='auto',
        greater_keys=['acc', 'top', 'mAP', 'mIoU', 'PxAP'],
        less_keys=['RMSE', 'loss'],
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # Processes validate and save the same BatchNorm statistics.
    sync_buffers=dict(type='SyncBuffersHook'),
    checks=dict(type='RunCheckHook'),
    visualization=dict(type='WSLVisualizationHook'),
    # For mmseg.IoUMetric and its like.
    background=dict(type='BackgroundClassHook'),
    # For FaithfulnessMetric, which asks the model.
    asked=dict(type='MetricModelHook'),
)
custom_hooks = [dict(type='EpochSeedHook')]
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
visualizer = dict(
    type='WSLVisualizer', vis_backends=[dict(type='LocalVisBackend')]
)
log_processor = dict(by_epoch=True)
log_level = 'INFO'
load_from = None
resume = False
val_cfg = dict()
test_cfg = dict()
