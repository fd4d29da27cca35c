# Any neck of a sibling goes between backbone and head: density maps of
# stride 8 from a feature pyramid. Needs mmdet.
_base_ = './lc_r50_voc12-448.py'
model = dict(
    backbone=dict(out_indices=(1, 2, 3)),
    neck=dict(
        type='mmdet.FPN',
        in_channels=[512, 1024, 2048],
        out_channels=256,
        num_outs=3,
    ),
    head=dict(in_channels=256, in_index=0, peaks=dict(upsample=2)),
)
