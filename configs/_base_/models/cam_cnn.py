# What the data and the backbone decide is left open.
_base_ = 'cnn_backbone.py'
model = dict(
    type='WSLClassifier',
    data_preprocessor=dict(type='WSLDataPreprocessor'),
    head=dict(type='CAMHead', num_classes=None, in_channels=None),
    test_cfg=dict(scales=(0.5, 1.0, 1.5), flip=True),
)
