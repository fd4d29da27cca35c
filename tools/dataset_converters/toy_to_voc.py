"""Write the toy data to disk in PASCAL VOC's layout.

``python tools/dataset_converters/toy_to_voc.py data/toy --train 400``
"""

import argparse
import os
import shutil
from typing import Any, Dict, List, Optional, Sequence

from mmwsl.apis import (
    ToolParser,
    friendly_errors,
    with_progress,
)
from mmwsl.datasets import ToyDataset
from mmwsl.utils.images import voc_color_map

import cv2
import numpy as np
from PIL import Image

FOLDERS = (
    'JPEGImages',
    'Annotations',
    'SegmentationClass',
    'SegmentationObject',
    'SegmentationBody',
    'SaliencyMaps',
    'ImageSets/Main',
    'ImageSets/Segmentation',
)


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = ToolParser("Write the toy data to disk in PASCAL VOC's layout")
    parser.add_argument('out_dir', help='folder to write, new or empty')
    parser.add_argument('--train', type=int, default=400, help='pictures')
    parser.add_argument('--val', type=int, default=100, help='pictures')
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='seed of the training set; the validation set has the next one',
    )
    parser.add_argument('--image-size', type=int, default=112)
    parser.add_argument('--num-classes', type=int, default=6)
    parser.add_argument(
        '--png',
        action='store_true',
        help='write PNG instead of JPEG, which keeps every pixel',
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace what this command has written to the folder before',
    )
    return parser.parse_args(argv)


def write_split(out_dir: str, split: str, data: Any, suffix: str) -> None:
    """Write all pictures of a data set and the lists that name them.

    Args:
        out_dir (str): Root of the VOC layout.
        split (str): Name of the lists.
        data (ToyDataset): In test mode.
        suffix (str): '.jpg' or '.png'.
    """
    names = []
    for index in with_progress(range(len(data))):
        info = data.get_data_info(index)
        name = info['img_id'].replace('/', '_')
        write_picture(out_dir, name, suffix, info, data.classes)
        names.append(f'{name}\n')
    for folder in ('Main', 'Segmentation'):
        path = os.path.join(out_dir, 'ImageSets', folder, f'{split}.txt')
        with open(path, 'w', encoding='utf-8') as file:
            file.writelines(names)


def write_picture(
    out_dir: str,
    name: str,
    suffix: str,
    info: Dict[str, Any],
    classes: Sequence[str],
) -> None:
    """Write one picture with all that belongs to it."""
    truth = info['eval_ann']
    quality = [cv2.IMWRITE_JPEG_QUALITY, 95] if suffix == '.jpg' else []
    path = os.path.join(out_dir, 'JPEGImages', name + suffix)
    if not cv2.imwrite(path, info['img'], quality):
        raise OSError(f'{path}: cannot be written')
    objects = np.zeros(info['ori_shape'], dtype=np.uint8)
    for number, mask in enumerate(truth['masks'], 1):
        objects[mask] = number
    for folder, mask in (
        ('SegmentationClass', truth['seg_map']),
        ('SegmentationObject', objects),
        # Of bodies alone; heads, which give the class away, are ignored.
        ('SegmentationBody', truth['body_seg_map']),
    ):
        picture = Image.fromarray(mask).convert('P')
        picture.putpalette([v for rgb in voc_color_map() for v in rgb])
        picture.save(os.path.join(out_dir, folder, f'{name}.png'))
    # The truth with soft edges stands for what a saliency model says.
    saliency = np.where(truth['seg_map'] > 0, 255, 0).astype(np.uint8)
    saliency = cv2.GaussianBlur(saliency, (0, 0), info['ori_shape'][0] / 56)
    cv2.imwrite(os.path.join(out_dir, 'SaliencyMaps', f'{name}.png'), saliency)
    path = os.path.join(out_dir, 'Annotations', f'{name}.xml')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(annotation_of(name + suffix, info, classes))


def annotation_of(
    filename: str, info: Dict[str, Any], classes: Sequence[str]
) -> str:
    """Return the XML of a picture; boxes count pixels from 1, inclusive."""
    height, width = info['ori_shape']
    text = (
        f'<annotation><filename>{filename}</filename><size>'
        f'<width>{width}</width><height>{height}</height><depth>3</depth>'
        '</size><segmented>1</segmented>'
    )
    truth = info['eval_ann']
    for box, label in zip(truth['boxes'], truth['labels']):
        left, top, right, bottom = (int(edge) for edge in box)
        text += (
            f'<object><name>{classes[label]}</name><difficult>0</difficult>'
            f'<bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>'
            f'<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>'
        )
    return f'{text}</annotation>'


def convert(args: argparse.Namespace) -> List[str]:
    """Write both sets and return the class names.

    The folder appears when it is whole.
    """
    make_room(args.out_dir, args.overwrite)
    sets = {
        split: ToyDataset(
            num_images=number,
            seed=args.seed + offset,
            image_size=args.image_size,
            num_classes=args.num_classes,
            test_mode=True,
        )
        for split, number, offset in (
            ('train', args.train, 0),
            ('val', args.val, 1),
        )
        if number > 0
    }
    if not sets:
        raise ValueError('--train and --val are both 0: nothing to write')
    # What a run leaves behind that is killed is replaced by the next one.
    part = f'{args.out_dir.rstrip(os.sep)}.part'
    shutil.rmtree(part, ignore_errors=True)
    for folder in FOLDERS:
        os.makedirs(os.path.join(part, folder))
    for split, data in sets.items():
        write_split(part, split, data, '.png' if args.png else '.jpg')
        classes = data.classes
    path = os.path.join(part, 'classes.txt')
    with open(path, 'w', encoding='utf-8') as file:
        file.writelines(f'{name}\n' for name in classes)
    shutil.rmtree(args.out_dir, ignore_errors=True)
    os.rename(part, args.out_dir)
    return list(classes)


def make_room(folder: str, overwrite: bool) -> None:
    """Refuse a folder that holds something else than toy data."""
    found = os.path.exists(folder) and os.listdir(folder)
    if not found:
        return
    if not overwrite:
        raise ValueError(f'{folder}: is not empty; name a new folder')
    if not set(found) <= {path.split('/')[0] for path in FOLDERS} | {
        'classes.txt'
    }:
        raise ValueError(f'{folder}: holds more than toy data; name another')


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Write the data and say how to read it."""
    args = parse_args(argv)
    with friendly_errors():
        classes = convert(args)
    print(
        f'{args.out_dir}: {args.train} training and {args.val} validation '
        f'pictures of {", ".join(classes)}\n'
        "Read them with dict(type='VOCImageLevelDataset', "
        f"data_root='{args.out_dir}', "
        f"metainfo=dict(classes='{args.out_dir}/classes.txt'))"
    )
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
