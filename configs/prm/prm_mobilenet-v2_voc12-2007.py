_base_ = [
    '../_base_/models/cam_mobilenet-v2.py',
    '../_base_/datasets/voc12-2007_320.py',
    '../_base_/schedules/adamw_12e.py',
    '../_base_/default_runtime.py',
]
# There are no instance masks: where an object is the only one of its class,
# the class mask is its mask.
test_pipeline = [
    *_base_.test_pipeline[:2],
    dict(type='LoadEvalAnnotations', with_instances=True),
    dict(type='PackWSLInputs', eval_keys=('gt_sem_seg', 'gt_instances')),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
model = dict(
    head=dict(type='PRMHead', peaks=dict(min_ratio=0.7, per_class=4)),
    test_cfg=dict(_delete_=True),
)
val_evaluator = [
    dict(type='InstanceAPMetric', masks='single'),
    dict(type='MultiLabelMetric'),
    dict(type='SeedIoUMetric'),
    dict(type='PRMQualityMetric', masks='single'),
]
test_evaluator = val_evaluator
