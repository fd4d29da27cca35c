# Pictures drawn from a seed, each of one class: no files. The evaluation has
# the boxes and the mask of what is visible. See mmwsl/datasets/toy.py.
_base_ = 'toy.py'
style = dict(class_shares=(1.0,), count_shares=(0.7, 0.2, 0.1))
test_pipeline = [
    dict(
        type='LoadEvalAnnotations',
        with_seg_map=False,
        with_instances=True,
        with_loc_mask=True,
    ),
    dict(type='PackWSLInputs', eval_keys=('gt_instances', 'gt_loc_mask')),
]
train_dataloader = dict(dataset=dict(style=style))
val_dataloader = dict(dataset=dict(style=style, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='MaxBoxAccMetric'),
    dict(type='PxAPMetric'),
    dict(type='AccuracyMetric', topk=(1,)),
]
test_evaluator = val_evaluator
