# Tests a checkpoint of cam_mobilenet-v2_voc12-2007 as PRM is tested: what part
# of a class map lies on its object, and how well the connected parts of maps
# above thresholds fit the objects. Where an object is the only one of its
# class, the class mask is its mask.
_base_ = './cam_mobilenet-v2_voc12-2007.py'
test_pipeline = [
    *_base_.test_pipeline[:2],
    dict(type='LoadEvalAnnotations', with_instances=True),
    dict(type='PackWSLInputs', eval_keys=('gt_sem_seg', 'gt_instances')),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
model = dict(
    # Parts are those of predicted classes; qualities are of all.
    head=dict(keep='all'),
    # One view, as peaks have.
    test_cfg=dict(_delete_=True),
)
val_evaluator = [
    dict(type='MultiLabelMetric'),
    dict(type='PRMQualityMetric', masks='single', with_responses=False),
    *[
        dict(
            type='InstanceAPMetric',
            masks='single',
            parts=value,
            per_class=False,
            prefix=f'parts@{value}',
        )
        for value in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    ],
]
test_evaluator = val_evaluator
