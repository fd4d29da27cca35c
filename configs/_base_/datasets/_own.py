# Own images in any layout that OwnDataset reads, see docs/own_data.md.
_base_ = '_loaders.py'
data_root = 'data/own'
# File or folder of the labels in data_root, where there are several.
annotations = '.'
# Of a table, what its header calls them: PATH,LABEL,COUNT.
columns = 'path'
own = dict(
    type='mmwsl.OwnDataset',
    data_root=data_root,
    labels=annotations,
    columns=columns,
)
# 16-bit images of fewer bits need max_value, what white is.
load = dict(type='mmwsl.LoadWSLImage')
# Sizes in pixels: of parts, of whole images, and of images by their short side,
# as they are and, for segmentors, before parts of them are taken.
crop = dict(type='RandomResizedCrop', scale=256, crop_ratio_range=(0.3, 1.0))
whole = dict(type='Resize', scale=(256, 256))
resize = dict(type='Resize', scale=(1280, 256), keep_ratio=True)
rescale = dict(
    type='RandomResize',
    scale=(1280, 256),
    ratio_range=(0.75, 1.5),
    keep_ratio=True,
)
