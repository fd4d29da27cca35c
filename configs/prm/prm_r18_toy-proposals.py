# The same network; only the test takes proposals, which have to be made:
#
#     python tools/dataset_converters/make_proposals.py \
#         configs/prm/prm_r18_toy.py data/proposals --splits val
_base_ = './prm_r18_toy.py'
test_pipeline = [
    dict(type='LoadEvalAnnotations', with_masks=True),
    dict(type='LoadProposals', folder='data/proposals'),
    dict(type='PackWSLInputs', eval_keys=('gt_sem_seg', 'gt_instances')),
]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
model = dict(
    head=dict(
        # A proposal takes what lies around a peak, so a wrong peak costs less
        # than without: lower peaks count, and those between cells.
        peaks=dict(min_ratio=0.2, upsample=4),
        # beta is per pixel: for pictures fifteen times smaller than those
        # of VOC it has to be larger. The response lies on the head, a
        # seventh of the object, so its contour says little.
        retrieval=dict(type='ProposalRetrieval', alpha=8.0, beta=1e-3),
    ),
)
