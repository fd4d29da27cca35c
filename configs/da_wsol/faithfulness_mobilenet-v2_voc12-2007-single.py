# Tests a checkpoint of wsol_cam_* or dal_cam_mobilenet-v2_voc12-2007-single:
# how faithful its class maps and its peak responses are, and how much of them
# lies on the object.
_base_ = './wsol_cam_mobilenet-v2_voc12-2007-single.py'
test_pipeline = [
    *_base_.test_pipeline[:2],
    dict(type='LoadEvalAnnotations', with_instances=True),
    dict(type='PackWSLInputs', eval_keys=('gt_sem_seg', 'gt_instances')),
]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
model = dict(
    head=dict(
        type='PRMHead',
        # Every cell counts for the score, as in CAM.
        window=1,
        threshold=None,
        peaks=dict(window=3, threshold='median', classes='given', per_class=1),
    )
)
test_evaluator = [
    dict(type='FaithfulnessMetric', steps=8, prefix='class_maps'),
    dict(
        type='FaithfulnessMetric',
        maps='peak_response_maps',
        steps=8,
        prefix='responses',
    ),
    dict(type='PRMQualityMetric', masks='single', match='best'),
]
