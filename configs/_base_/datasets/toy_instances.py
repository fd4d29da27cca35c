# Pictures drawn from a seed, as in toy.py; the evaluation sees the objects.
_base_ = 'toy.py'
test_pipeline = [
    dict(type='LoadEvalAnnotations', with_masks=True),
    dict(type='PackWSLInputs', eval_keys=('gt_sem_seg', 'gt_instances')),
]
val_dataloader = dict(batch_size=16, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='InstanceAPMetric'),
    dict(type='MultiLabelMetric'),
    dict(type='SeedIoUMetric'),
]
test_evaluator = val_evaluator
