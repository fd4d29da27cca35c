# Own images for segmentors of mmseg: label maps of an earlier stage to learn
# from. Without masks there is no validation; a test writes label maps.
_base_ = '_own.py'
labels = 'work_dirs/labels'
# What a test writes.
out_dir = 'work_dirs/predictions'
# For branches that learn from image labels, and for predictions of given
# classes alone.
image_labels = dict(_base_.own)
test_pipeline = [_base_.load, _base_.resize, dict(type='mmseg.PackSegInputs')]
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
    dataset=dict(
        _base_.own,
        split='unseen',
        segmentor=True,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(
    type='mmwsl.PseudoLabelWriter', out_dir=out_dir, img_dir=_base_.data_root
)
