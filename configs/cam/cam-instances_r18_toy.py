# Tests a checkpoint of cam_r18_toy as PRM is tested: what part of a class map
# lies on its object, and how well the connected parts of maps above thresholds
# fit the objects.
_base_ = './cam_r18_toy.py'
test_pipeline = [
    dict(type='LoadEvalAnnotations', with_masks=True),
    dict(type='PackWSLInputs', eval_keys=('gt_instances',)),
]
val_dataloader = dict(batch_size=16, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
# Parts are those of predicted classes; qualities are of all.
model = dict(head=dict(keep='all'))
val_evaluator = [
    dict(type='MultiLabelMetric'),
    dict(type='PRMQualityMetric', with_responses=False),
    *[
        dict(
            type='InstanceAPMetric',
            parts=value,
            per_class=False,
            prefix=f'parts@{value}',
        )
        for value in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    ],
]
test_evaluator = val_evaluator
