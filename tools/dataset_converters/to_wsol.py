"""Write a data set's labels and ground truth in wsolevaluation's layout.

``python tools/dataset_converters/to_wsol.py OUT --voc data/VOC2012 --list
ImageSets/Segmentation/val.txt``, ``... OUT --coco instances.json --images
folder`` or ``... OUT --config CONFIG --split val``.
"""

import argparse
import os
import shutil
from typing import Any, Dict, List

from mmwsl.apis import ToolParser, dataset_config, load_config, with_progress
from mmwsl.datasets.coco import without_crowds
from mmwsl.datasets.files import image_id
from mmwsl.datasets.wsol import whole_boxes
from mmwsl.evaluation.metrics.localisation import gt_boxes
from mmwsl.registry import DATASETS
from mmwsl.utils.files import (
    check_new,
    join_inside,
    naming,
    whole_folder,
    write_lines,
)
from mmwsl.utils.prediction import type_name
from mmwsl.visualization.drawing import write_image

import numpy as np
from mmengine.registry import init_default_scope

parser = ToolParser("Write a data set in wsolevaluation's layout")
parser.add_argument('out_dir', help='folder to write, new or empty')
source = parser.add_mutually_exclusive_group(required=True)
source.add_argument('--voc', help="root of a set in PASCAL VOC's layout")
source.add_argument('--coco', help="json file in COCO's format")
source.add_argument('--config', help='config whose data set to write')
text = 'list of images of --voc'
parser.option('--list', 'ImageSets/Segmentation/val.txt', text)
text = 'text file of class names, for --voc and --coco'
parser.option('--classes', None, text)
parser.option('--images', '', 'image folder of --coco')
parser.split('test')
parser.option(
    '--entries',
    'all',
    'one for each image and class, or the images of one class only',
    choices=['all', 'single'],
)
parser.option(
    '--truth',
    'box',
    'what localization.txt holds; there is none for training sets',
    choices=['box', 'mask', 'none'],
)
parser.option(
    '--write-images',
    False,
    'also write the image of each entry under its id, for programs that do '
    'not know image_paths.txt',
)
parser.cfg_options()


def source_config(args: argparse.Namespace) -> Dict[str, Any]:
    """The config of the data set to write."""
    if args.config:
        cfg = load_config(args.config, args.cfg_options)
        return dataset_config(cfg, args.split)
    init_default_scope('mmwsl')
    if args.voc:
        config = dict(
            type='VOCImageLevelDataset', data_root=args.voc, ann_file=args.list
        )
    else:
        config = dict(
            type='COCOImageLevelDataset',
            ann_file=args.coco,
            data_prefix=dict(img_path=args.images),
        )
    if args.classes:
        config['metainfo'] = dict(classes=args.classes)
    return config


def build(args: argparse.Namespace) -> Any:
    """The entries to write, with their ground truth."""
    source = source_config(args)
    own = source.get('pipeline', ())
    loaders = [step for step in own if type_name(step) == 'LoadWSLImage']
    pipeline = loaders or [dict(type='LoadWSLImage')]
    if args.truth != 'none':
        pipeline = [
            *pipeline,
            dict(
                type='LoadEvalAnnotations',
                with_seg_map=args.truth == 'mask',
                with_instances=args.truth == 'box',
            ),
        ]
    if type_name(source) != 'SingleLabelEntries':
        source = dict(
            type='mmwsl.SingleLabelEntries', source=source, images=args.entries
        )
    # Built here, because it knows where its annotations are.
    inner = DATASETS.build(dict(source['source'], test_mode=True, pipeline=[]))
    source.update(source=inner, test_mode=True, pipeline=pipeline)
    return DATASETS.build(source)


def entry_id(data: Any, info: Dict[str, Any]) -> str:
    """The id of an entry without commas, at which programs part lines."""
    name = str(info['img_id'])
    if data.images == 'all':
        image, _, word = name.rpartition('/')
        name = f'{image}/{word.replace(",", "_")}'
    if ',' in name:
        raise ValueError(f'{name}: ids of images must not hold commas')
    return name


def annotation_place(source: Any, info: Dict[str, Any]) -> str:
    """Where the boxes of an image come from, for errors."""
    name, prefix = info['img_id'], source.data_prefix
    if info['img_path']:
        name = image_id(info['img_path'], prefix.get('img_path', ''))
    if prefix.get('ann_path'):
        return os.path.join(prefix['ann_path'], f'{name}.xml')
    return f'{source.ann_file or "data set"}: image {name}'


def truth_lines(
    data: Any, info: Dict[str, Any], file: str, kind: str, folder: str
) -> List[str]:
    """Return the lines of an entry's boxes, or write its masks to a folder."""
    truth, label = info.get('eval_gt', {}), int(info['gt_label'][0])
    if kind == 'box':
        with naming(annotation_place(data.source, info)):
            found = gt_boxes({**info, **truth})
            boxes = whole_boxes(found, info['ori_shape'])
        return [','.join(map(str, (file, *box))) for box in boxes]
    values = without_crowds(truth['gt_sem_seg'], info, label)
    stem = os.path.splitext(file)[0]
    names = [f'{stem}.png', f'{stem}_ignore.png']
    if not (values == 255).any():
        names[1] = ''
    for name, mask in zip(names, (values == label + 1, values == 255)):
        if name:
            path = join_inside(folder, name)
            write_image(path, mask[..., None].astype(np.uint8) * 255)
    return [','.join((file, *names))]


def write(args: argparse.Namespace, root: str) -> int:
    """Write all entries into a folder; return their number."""
    data = build(args)
    lines: Dict[str, List[str]] = dict(
        image_ids=[], class_labels=[], image_sizes=[]
    )
    lines['class_names'] = list(data.classes)
    if args.truth != 'none':
        lines['localization'] = []
    seen = set()
    for index in with_progress(range(len(data))):
        info = data[index]
        name = entry_id(data, info)
        if name in seen:
            raise ValueError(f'{name}: two entries have this id')
        seen.add(name)
        file = name + (os.path.splitext(info['img_path'])[1] or '.png')
        height, width = info['ori_shape'][:2]
        lines['image_ids'].append(file)
        lines['class_labels'].append(f'{file},{info["gt_label"][0]}')
        lines['image_sizes'].append(f'{file},{width},{height}')
        if args.truth != 'none':
            lines['localization'] += truth_lines(
                data, info, file, args.truth, os.path.join(root, 'masks')
            )
        copy = join_inside(os.path.join(root, 'images'), file)
        if not info['img_path']:
            write_image(copy, info['img'][..., ::-1])
        elif args.write_images:
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            shutil.copyfile(info['img_path'], copy)
        else:
            path = os.path.abspath(info['img_path'])
            lines.setdefault('image_paths', []).append(f'{file},{path}')
    for name, content in lines.items():
        write_lines(os.path.join(root, 'metadata', f'{name}.txt'), content)
    return len(lines['image_ids'])


@parser.command
def main(args: argparse.Namespace) -> None:
    """Write the layout and say how to read it."""
    check_new(args.out_dir)
    with whole_folder(args.out_dir) as root:
        number = write(args, root)
    print(
        f'{args.out_dir}: {number} entries\n'
        f"Read them with dict(type='WSOLDataset', data_root='{args.out_dir}', "
        "ann_file='metadata', data_prefix=dict(img_path='images', "
        "mask_path='masks'))"
    )


if __name__ == '__main__':
    raise SystemExit(main())
