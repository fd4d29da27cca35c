# A segmentor that learns from label maps of an earlier stage.
_base_ = '../ae_psl/psl_mobilenet-v2_voc12-2007.py'
labels = 'work_dirs/nsrom_mined/labels'
max_epochs = 12
# With so few images better than DeepLabV2Head, see the README.
model = dict(
    decode_head=dict(_delete_=True, **_base_.model.decode_head.decode_head)
)
train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(type='mmseg.PackSegInputs'),
]
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            data_prefix=dict(seg_map_path=labels), pipeline=train_pipeline
        )
    )
)
# A test by tools/test.py runs a CRF, the validation at the end does not.
_base_.param_scheduler[0].end = max_epochs
param_scheduler = _base_.param_scheduler
train_cfg = dict(max_epochs=max_epochs)
