# For toy pictures, from scratch: the first stages, which give maps of 14 x 14
# from pictures of 112 x 112.
_base_ = 'cam_r18_scratch.py'
model = dict(
    backbone=dict(out_indices=(1,)),
    head=dict(in_channels=128, multi_label=False, score_map_size=224),
)
