"""Write a data set's labels and ground truth in wsolevaluation's layout.

``python tools/dataset_converters/to_wsol.py OUT --voc data/VOC2012 --list
ImageSets/Segmentation/val.txt``, ``... OUT --coco instances.json --images
folder`` or ``... OUT --config CONFIG --split val``.
"""

import argparse
import os
import shutil
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence

from mmwsl.apis import (
    ToolParser,
    add_cfg_options,
    dataset_config,
    friendly_errors,
    load_config,
    with_progress,
)
from mmwsl.datasets.coco import without_crowds
from mmwsl.datasets.files import image_id
from mmwsl.datasets.wsol import whole_boxes
from mmwsl.evaluation.metrics.localisation import gt_boxes
from mmwsl.registry import DATASETS
from mmwsl.utils.files import join_inside
from mmwsl.utils.prediction import type_name

import cv2
import numpy as np
from mmengine.registry import init_default_scope

TRUTH = ('box', 'mask', 'none')


class Entry(NamedTuple):
    """One image and class.

    Attributes:
        img_id (str): Its id, with the suffix of an image.
        label (int): Its class.
        size (Sequence[int]): Height and width of the image.
        boxes (np.ndarray): Whole numbers (G, 4); G is 0 without boxes.
        masks (list[np.ndarray]): The object's pixels and the ignored ones,
            bool (H, W), or nothing.
        path (str): The image file, '' if there is none.
        img (np.ndarray): The image.
    """

    img_id: str
    label: int
    size: Sequence[int]
    boxes: np.ndarray
    masks: List[np.ndarray]
    path: str
    img: np.ndarray


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = ToolParser("Write a data set in wsolevaluation's layout")
    parser.add_argument('out_dir', help='folder to write, new or empty')
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--voc', help="root of a set in PASCAL VOC's layout")
    source.add_argument('--coco', help="json file in COCO's format")
    source.add_argument('--config', help='config whose data set to write')
    parser.add_argument(
        '--list',
        default='ImageSets/Segmentation/val.txt',
        help='list of images of --voc',
    )
    parser.add_argument(
        '--classes', help='text file of class names, for --voc and --coco'
    )
    parser.add_argument('--images', default='', help='image folder of --coco')
    parser.add_argument(
        '--split', default='test', choices=['train', 'val', 'test']
    )
    parser.add_argument(
        '--entries',
        default='all',
        choices=['all', 'single'],
        help='one for each image and class, or the images of one class only',
    )
    parser.add_argument(
        '--truth',
        default='box',
        choices=TRUTH,
        help='what localization.txt holds; there is none for training sets',
    )
    parser.add_argument(
        '--write-images',
        action='store_true',
        help='also write the image of each entry under its id, for programs '
        'that do not know image_paths.txt',
    )
    add_cfg_options(parser)
    return parser.parse_args(argv)


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
    loaders = [
        transform
        for transform in source.get('pipeline', ())
        if type_name(transform) == 'LoadWSLImage'
    ]
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


def entries(args: argparse.Namespace, data: Any) -> Iterator[Entry]:
    """Read the images and the ground truth of all entries."""
    seen = set()
    for index in with_progress(range(len(data))):
        info = data[index]
        name, label = entry_id(data, info), int(info['gt_label'][0])
        if name in seen:
            raise ValueError(f'{name}: two entries have this id')
        seen.add(name)
        truth = info.get('eval_gt', {})
        masks: List[np.ndarray] = []
        boxes = np.zeros((0, 4), dtype=np.int64)
        if args.truth == 'mask':
            values = without_crowds(truth['gt_sem_seg'], info, label)
            masks = [values == label + 1, values == 255]
        if args.truth == 'box':
            try:
                found = gt_boxes({**info, **truth})
                boxes = whole_boxes(found, info['ori_shape'])
            except ValueError as error:
                place = annotation_place(data.source, info)
                raise ValueError(f'{place}: {error}') from None
        suffix = os.path.splitext(info['img_path'])[1] or '.png'
        yield Entry(
            name + suffix,
            label,
            info['ori_shape'],
            boxes,
            masks,
            info['img_path'],
            info['img'],
        )


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


def write_picture(path: str, plane: np.ndarray) -> None:
    """Write a picture without loss."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not cv2.imwrite(path, plane):
        raise OSError(f'{path}: cannot be written')


def write_masks(entry: Entry, folder: str) -> List[str]:
    """Write the masks of an entry, if it has any, and return its line."""
    if not entry.masks:
        return []
    stem = os.path.splitext(entry.img_id)[0]
    names = [f'{stem}.png', f'{stem}_ignore.png']
    if not entry.masks[1].any():
        names[1] = ''
    for name, mask in zip(names, entry.masks):
        if name:
            plane = mask.astype(np.uint8) * 255
            write_picture(join_inside(folder, name), plane)
    return [','.join((entry.img_id, *names))]


def write_image(entry: Entry, folder: str) -> None:
    """Write the image of an entry under its id."""
    path = join_inside(folder, entry.img_id)
    if not entry.path:
        write_picture(path, entry.img)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    shutil.copyfile(entry.path, path)


def convert(args: argparse.Namespace) -> int:
    """Write everything or nothing; return the number of entries."""
    if os.path.exists(args.out_dir) and os.listdir(args.out_dir):
        raise ValueError(f'{args.out_dir}: is not empty; name a new folder')
    # What a run leaves behind that is killed is replaced by the next one.
    part = f'{os.path.abspath(args.out_dir)}.part'
    shutil.rmtree(part, ignore_errors=True)
    try:
        number = write(args, part)
        os.makedirs(args.out_dir, exist_ok=True)
        for name in sorted(os.listdir(part)):
            shutil.move(os.path.join(part, name), args.out_dir)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return number


def write(args: argparse.Namespace, out_dir: str) -> int:
    """Write all entries into a folder; return their number."""
    data = build(args)
    lines: Dict[str, List[str]] = {
        name: [] for name in ('image_ids', 'class_labels', 'image_sizes')
    }
    lines['class_names'] = list(data.classes)
    for entry in entries(args, data):
        name, (height, width) = entry.img_id, entry.size
        lines['image_ids'].append(name)
        lines['class_labels'].append(f'{name},{entry.label}')
        lines['image_sizes'].append(f'{name},{width},{height}')
        found = lines.setdefault('localization', [])
        found += write_masks(entry, os.path.join(out_dir, 'masks'))
        found += [','.join(map(str, (name, *box))) for box in entry.boxes]
        if args.write_images or not entry.path:
            write_image(entry, os.path.join(out_dir, 'images'))
        else:
            path = os.path.abspath(entry.path)
            lines.setdefault('image_paths', []).append(f'{name},{path}')
    if args.truth == 'none':
        lines.pop('localization', None)
    folder = os.path.join(out_dir, 'metadata')
    os.makedirs(folder, exist_ok=True)
    for name, content in lines.items():
        path = os.path.join(folder, f'{name}.txt')
        with open(path, 'w', encoding='utf-8') as file:
            file.writelines(f'{line}\n' for line in content)
    return len(lines['image_ids'])


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Write the layout and say how to read it."""
    args = parse_args(argv)
    with friendly_errors():
        number = convert(args)
    print(
        f'{args.out_dir}: {number} entries\n'
        f"Read them with dict(type='WSOLDataset', data_root='{args.out_dir}', "
        "ann_file='metadata', data_prefix=dict(img_path='images', "
        "mask_path='masks'))"
    )
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
