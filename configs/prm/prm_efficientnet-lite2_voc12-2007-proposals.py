# CAM's classifier, whose class scores are means of whole maps, with the peaks
# and proposals of PRM: training is that of cam_efficientnet-lite2_voc12-2007,
# and its checkpoints can be tested. Beside them the parts of its class maps.
# Proposals have to be made first, see the README.
_base_ = '../cam/cam_efficientnet-lite2_voc12-2007.py'
# There are no instance masks: where an object is the only one of its class,
# the class mask is its mask.
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type='LoadProposals', folder='data/proposals_2007'),
    _base_.test_pipeline[1],
    dict(type='LoadEvalAnnotations', with_instances=True),
    dict(type='PackWSLInputs', eval_keys=('gt_sem_seg', 'gt_instances')),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
model = dict(
    head=dict(
        type='PRMHead',
        # Every cell counts for the score; peaks are those of the paper.
        window=1,
        threshold=None,
        peaks=dict(window=3, threshold='median', min_ratio=0.7, per_class=2),
        # Average precision ranks: doubtful classes come last.
        score_threshold=0.2,
        keep='predicted',
        # Chosen on held-out training images.
        focus=True,
        retrieval=dict(
            type='ProposalRetrieval', alpha=0.1, beta=0.0, delta=1.0
        ),
    ),
    test_cfg=dict(_delete_=True),
)
val_evaluator = [
    dict(type='InstanceAPMetric', masks='single'),
    dict(type='MultiLabelMetric'),
    dict(type='PRMQualityMetric', masks='single'),
    *[
        dict(
            type='InstanceAPMetric',
            masks='single',
            parts=value,
            per_class=False,
            prefix=f'parts@{value}',
        )
        for value in (0.1, 0.2, 0.3, 0.4)
    ],
]
test_evaluator = val_evaluator
