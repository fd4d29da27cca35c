# Data in PASCAL VOC's layout, for pipelines of any method.
data_root = 'data/voc12_2007'
images = '{data_root}/JPEGImages'
# Or {generated.dir}/maps, which are made of the images, by a network if onnx
# names one.
saliency = '{data_root}/SaliencyMaps'
onnx = ''
classes = 'voc'
num_workers = 2
# What all configs get.
common = dict(data_root='{data_root}')
# Masks judge the stages; none of them learns from masks, nor from copies.
masks = '{data_root}/SegmentationClass'
truth = '--truth={masks}'
evaluate = dict(masks='{masks}', classes='{classes}', split='train')
# Draws toy pictures, if data_root is '{data.dir}/toy'.
train_images = 600
val_images = 150
data_tool = 'dataset_converters/toy_to_voc.py'
data_args = [
    '{dir}/toy',
    '--train={train_images}',
    '--val={val_images}',
    '--png',
    '--overwrite',
]
