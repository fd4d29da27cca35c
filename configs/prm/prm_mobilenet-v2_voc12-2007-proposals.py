# The same network; only the test takes proposals, which have to be made:
#
#     python tools/dataset_converters/make_proposals.py \
#         configs/prm/prm_mobilenet-v2_voc12-2007.py data/proposals_2007
_base_ = './prm_mobilenet-v2_voc12-2007.py'
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type='LoadProposals', folder='data/proposals_2007'),
    *_base_.test_pipeline[1:],
]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
model = dict(
    head=dict(
        retrieval=dict(type='ProposalRetrieval', alpha=2.0, beta=4e-5),
    ),
)
