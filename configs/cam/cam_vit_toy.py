# A small ViT. Every token sees the whole picture, so that a mean over the
# tokens leaves open where a class is: those that are surest must say it.
_base_ = [
    '../_base_/models/cam_r18_scratch.py',
    '../_base_/datasets/toy.py',
    '../_base_/schedules/adamw_10e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        _delete_=True,
        type='TransformerBackbone',
        arch='vit_tiny_patch16_224',
        arch_cfg=dict(
            img_size=112, patch_size=8, embed_dim=128, depth=4, num_heads=4
        ),
    ),
    head=dict(in_channels=128, pooling='lse'),
)
