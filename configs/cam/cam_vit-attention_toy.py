# Tests a checkpoint of cam_vit_toy with class maps times attention.
_base_ = './cam_vit_toy.py'
model = dict(
    backbone=dict(attention='class'), head=dict(type='AttentionCAMHead')
)
