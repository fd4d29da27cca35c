# One stage of Swin: windows of 7 x 7 patches, which every second block shifts.
_base_ = './cam_vit_toy.py'
# Windows learn more slowly: four times as many steps, in the same time.
train_dataloader = dict(batch_size=8)
_base_.param_scheduler[0].eta_max = 1e-3
param_scheduler = _base_.param_scheduler
model = dict(
    backbone=dict(
        arch='swin_tiny_patch4_window7_224',
        arch_cfg=dict(
            _delete_=True,
            img_size=112,
            patch_size=8,
            embed_dim=128,
            depths=(4,),
            num_heads=(4,),
            drop_path_rate=0.0,
        ),
    ),
)
