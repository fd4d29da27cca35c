# The first two stages of a narrow Swin, which give maps of 14 x 14.
_base_ = './cam_vit_toy.py'
model = dict(
    backbone=dict(
        arch='swin_tiny_patch4_window7_224',
        arch_cfg=dict(
            _delete_=True,
            img_size=112,
            embed_dim=64,
            depths=(2, 2),
            num_heads=(2, 4),
        ),
    ),
)
