# Counts by log-linear densities: tools/train.py CONFIG --cfg-options data_root=DIR
_base_ = 'lc_own-data.py'
model = dict(
    # The last stage tells what an image shows, the one before how much of it.
    backbone=dict(out_indices=(2, 3), frozen_stages=4),
    head=dict(
        log_linear=True,
        density_channels=None,
        mean_counts=None,
        count_absent=True,
        # Absent classes have densities near 0.
        score_threshold=0.1,
        # Cells of objects need not be likelier than not.
        loss_spatial=dict(loss_weight=0.0),
    ),
)
# Logarithms of densities have far to go from the mean of an image.
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'head.density': dict(lr_mult=8)})
)
