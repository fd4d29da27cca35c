"""Write the toy data to disk in PASCAL VOC's layout.

``python tools/dataset_converters/toy_to_voc.py data/toy --train 400``
"""

import argparse
import os
import shutil
from typing import Any, Dict, Sequence

from mmwsl.apis import ToolParser, with_progress
from mmwsl.datasets import ToyDataset
from mmwsl.pseudo_labels.labels import write_label_map
from mmwsl.utils.files import check_new, whole_folder, write_lines
from mmwsl.visualization.drawing import write_image

import cv2
import numpy as np

NAMES = {
    'Annotations',
    'ImageSets',
    'JPEGImages',
    'SaliencyMaps',
    'SegmentationBody',
    'SegmentationClass',
    'SegmentationObject',
    'classes.txt',
}

parser = ToolParser("Write the toy data to disk in PASCAL VOC's layout")
parser.add_argument('out_dir', help='folder to write, new or empty')
parser.option('--train', 400, 'pictures')
parser.option('--val', 100, 'pictures')
text = 'seed of the training set; the validation set has the next one'
parser.option('--seed', 0, text)
parser.option('--image-size', 112)
parser.option('--num-classes', 6)
text = 'write PNG instead of JPEG, which keeps every pixel'
parser.option('--png', False, text)
text = 'replace what this command has written to the folder before'
parser.option('--overwrite', False, text)


def write_split(root: str, split: str, data: Any, suffix: str) -> None:
    """Write all pictures of a data set and the lists that name them."""
    names = []
    for index in with_progress(range(len(data))):
        info = data.get_data_info(index)
        name = info['img_id'].replace('/', '_')
        write_picture(root, name, suffix, info, data.classes)
        names.append(name)
    for folder in ('Main', 'Segmentation'):
        path = os.path.join(root, 'ImageSets', folder, f'{split}.txt')
        write_lines(path, names)


def write_picture(
    root: str,
    name: str,
    suffix: str,
    info: Dict[str, Any],
    classes: Sequence[str],
) -> None:
    """Write one picture with all that belongs to it."""
    truth = info['eval_ann']
    path = os.path.join(root, 'JPEGImages', name + suffix)
    write_image(path, info['img'][..., ::-1])
    objects = np.zeros(info['ori_shape'], dtype=np.uint8)
    for number, mask in enumerate(truth['masks'], 1):
        objects[mask] = number
    for folder, plane in (
        ('SegmentationClass', truth['seg_map']),
        ('SegmentationObject', objects),
        # Of bodies alone; heads, which give the class away, are ignored.
        ('SegmentationBody', truth['body_seg_map']),
    ):
        path = os.path.join(root, folder, f'{name}.png')
        write_label_map(path, plane.astype(np.uint8))
    # The truth with soft edges stands for what a saliency model says.
    saliency = np.where(truth['seg_map'] > 0, 255, 0).astype(np.uint8)
    saliency = cv2.GaussianBlur(saliency, (0, 0), info['ori_shape'][0] / 56)
    path = os.path.join(root, 'SaliencyMaps', f'{name}.png')
    write_image(path, saliency[..., None])
    text = annotation_of(name + suffix, info, classes)
    write_lines(os.path.join(root, 'Annotations', f'{name}.xml'), [text])


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


@parser.command
def main(args: argparse.Namespace) -> None:
    """Write the data and say how to read it."""
    out = args.out_dir
    if not args.overwrite:
        check_new(out)
    elif os.path.isdir(out) and not set(os.listdir(out)) <= NAMES:
        raise ValueError(f'{out}: holds more than toy data; name another')
    if args.train < 1 and args.val < 1:
        raise ValueError('--train and --val are both 0: nothing to write')
    with whole_folder(out) as root:
        splits = dict(train=args.train, val=args.val)
        for offset, (split, number) in enumerate(splits.items()):
            if number < 1:
                continue
            data = ToyDataset(
                num_images=number,
                seed=args.seed + offset,
                image_size=args.image_size,
                num_classes=args.num_classes,
                test_mode=True,
            )
            write_split(root, split, data, '.png' if args.png else '.jpg')
        write_lines(os.path.join(root, 'classes.txt'), data.classes)
        shutil.rmtree(out, ignore_errors=True)
    print(
        f'{out}: {args.train} training and {args.val} validation '
        f'pictures of {", ".join(data.classes)}\n'
        "Read them with dict(type='VOCImageLevelDataset', "
        f"data_root='{out}', metainfo=dict(classes='{out}/classes.txt'))"
    )


if __name__ == '__main__':
    raise SystemExit(main())
