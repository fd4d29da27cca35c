# CAM of a classifier that exists, without training a head (docs/classifiers.md).
# tools/model_converters/from_classifier.py writes the weights, and this config
# with network, classes, mean and std filled in.
_base_ = 'cam_r50_own-folder.py'
model = dict(
    # None keeps the network's own stride; 16 or 8 give finer maps.
    backbone=dict(output_stride=None, init_cfg=None),
    # One view an image, as the classifier has it.
    test_cfg=dict(scales=(1.0,), flip=False),
)
