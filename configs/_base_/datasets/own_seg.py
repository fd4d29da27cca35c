# Own images for segmentors of mmseg: label maps of an earlier stage to learn
# from. Without masks there is no validation; a test writes label maps.
_base_ = '_own.py'
labels = 'work_dirs/labels'
# What a test writes.
out_dir = 'work_dirs/predictions'
# For branches that learn from image labels, and for predictions of given
# classes alone.
image_labels = dict(_base_.own)
train_dataloader = dict(
    batch_size=8,
    drop_last=False,
    dataset=dict(
        type='mmwsl.SeededDataset',
        dataset=dict(_base_.own, label_maps=labels),
    ),
)
val_dataloader = None
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        _base_.own,
        split='unseen',
        segmentor=True,
        test_mode=True,
        pipeline=[
            _base_.load,
            _base_.resize,
            dict(type='mmseg.PackSegInputs'),
        ],
    ),
)
test_evaluator = dict(
    type='mmwsl.PseudoLabelWriter',
    out_dir=out_dir,
    img_dir=_base_.data_root,
)
