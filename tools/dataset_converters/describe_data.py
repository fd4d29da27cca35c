"""Say what is found in a folder of own images, for the stages of a pipeline.

::

    describe_data.py data/fruit OUT

prints the classes, what kind of labels there are, the division into training
and validation, and what will not work. ``OUT`` gets all that as ``data.json``,
``classes.txt``, the image ids ``train.txt``, ``val.txt`` and
``unlabelled.txt``, some for pages in ``shown.txt``, ``values.json`` for later
stages and, where labels have boxes, ``boxes/<image id>.png``: filled boxes, to
judge predictions by, of the ids in ``train_boxes.txt`` and ``val_boxes.txt``.
"""

import argparse
import json
import os
import sys
from typing import Any, Dict, Iterator, List, Optional, Sequence

from mmwsl.apis import ToolParser, friendly_errors, with_progress
from mmwsl.datasets import OwnDataset
from mmwsl.datasets.files import image_id
from mmwsl.datasets.own import EVERYWHERE, FEW_IMAGES
from mmwsl.datasets.transforms import LoadEvalAnnotations, LoadWSLImage
from mmwsl.pseudo_labels.labels import write_label_map
from mmwsl.utils.files import join_inside, write_whole

import numpy as np

SIZES = (224, 256)
PARTS = ('train', 'val')
KINDS = dict(
    coco='COCO json', xml='VOC XML', table='table', folders='class folders'
)


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = ToolParser(
        description='Say what is found in a folder of own images'
    )
    parser.add_argument('data_root', help='folder of images and labels')
    parser.add_argument('out', help='folder to write to')
    parser.add_argument(
        '--labels',
        default='.',
        help="file or folder of the labels in DATA_ROOT, or 'folders' for one "
        'a class, where there are several kinds',
    )
    parser.add_argument(
        '--columns',
        default='path',
        metavar='PATH,LABEL,COUNT',
        help='what the header of a table calls its columns',
    )
    parser.add_argument(
        '--max-value',
        type=int,
        default=0,
        help='what white is in 16-bit images of fewer bits, such as 4095',
    )
    return parser.parse_args(argv)


def read_images(
    dataset: OwnDataset, folder: str, max_value: int
) -> Iterator[Dict[str, Any]]:
    """Read all images and write their boxes; yield size and what is wrong."""
    load = LoadWSLImage(max_value=max_value or None)
    fill = LoadEvalAnnotations(seg_map_from='boxes', absent='ignore')
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    infos += [
        dict(img_path=path, img_id=img_id, split='unlabelled', eval_ann={})
        for path in dataset.unlabelled
        for img_id in [image_id(path, str(dataset.data_root))]
    ]
    for info in with_progress(map(load, infos), len(infos)):
        found = dict(img_id=info['img_id'], split=info['split'], error='')
        found['size'] = info['img_shape']
        found['boxes'] = 'boxes' in info['eval_ann']
        if found['boxes']:
            try:
                label = fill(info)['eval_gt']['gt_sem_seg'].astype(np.uint8)
            except ValueError as error:
                found.update(boxes=False, error=str(error))
            else:
                path = join_inside(folder, info['img_id'], '.png')
                write_label_map(path, label)
        yield found


def warnings(found: Dict[str, Any]) -> Iterator[str]:
    """Yield what will not work."""
    total = found['train'] + found['val']
    for name, images in found['images'].items():
        if images > EVERYWHERE * total:
            yield (
                f'{name} is in {100 * images / total:.0f} % of the images and '
                'cannot be located: nothing tells it from the background'
            )
        elif images < FEW_IMAGES:
            yield (
                f'{name} is in {images} images, {FEW_IMAGES} or more are '
                'better'
            )
    if found['broken_boxes']:
        yield (
            f'{len(found["broken_boxes"])} images are not scored, the first: '
            f'{found["broken_boxes"][0]}'
        )


def describe(args: argparse.Namespace) -> Dict[str, Any]:
    """Find out what there is and write it down."""
    out = args.out
    dataset = OwnDataset(
        data_root=args.data_root,
        labels=args.labels,
        columns=args.columns,
        split='all',
        test_mode=True,
    )
    found = dataset.summary()
    boxes = os.path.join(out, 'boxes')
    images = list(read_images(dataset, boxes, args.max_value))
    sizes = np.array([x['size'] for x in images if x['split'] in PARTS])
    short = float(np.median(sizes.min(axis=1)))
    found.update(
        median_size=np.median(sizes, axis=0)[::-1].astype(int).tolist(),
        size=int(np.clip(32 * round(short / 32), *SIZES)),
        boxes=sum(image['boxes'] for image in images),
        broken_boxes=[x['error'] for x in images if x['error']],
    )
    found['warnings'] = list(warnings(found))
    shown: List[str] = []
    for split in (*PARTS, 'unlabelled'):
        own = [image for image in images if image['split'] == split]
        ids = [image['img_id'] for image in own]
        write(out, f'{split}.txt', ids)
        judged = [image['img_id'] for image in own if image['boxes']]
        write(out, f'{split}_boxes.txt', judged)
        shown += spread(ids, 4 if split in PARTS else 2)
    write(out, 'shown.txt', shown)
    write(out, 'classes.txt', found['classes'])
    # All images were read, so that none is black with 16 bits.
    values = dict(size=found['size'], max_value=args.max_value or 65535)
    write(out, 'values.json', [json.dumps(values)])
    write(out, 'data.json', [json.dumps(found, indent=1)])
    return found


def spread(ids: List[str], number: int) -> List[str]:
    """Some ids at equal distances."""
    number = min(number, len(ids))
    places = np.linspace(0, len(ids) - 1, number).round().astype(int)
    return [ids[place] for place in places]


def write(folder: str, name: str, lines: Sequence[str]) -> None:
    """Write a file of lines."""
    text = ''.join(f'{line}\n' for line in lines)
    write_whole(os.path.join(folder, name), text.encode())


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Describe the data."""
    args = parse_args(argv)
    with friendly_errors():
        found = describe(args)
        print(
            f'{args.data_root}: {found["labels"]} from '
            f'{KINDS[found["kind"]]}; {found["train"]} images for training, '
            f'{found["val"]} for validation, {found["unlabelled"]} without '
            f'labels; {found["boxes"]} with boxes to judge by'
        )
        width, height = found['median_size']
        print(f'median size {width} x {height}, used at {found["size"]}')
        for name, images in found['images'].items():
            most = found.get('max_counts', {}).get(name)
            print(
                f'class {name}: in {images} images'
                + (f', up to {most} objects' if most is not None else '')
            )
        for line in found['warnings']:
            print(f'warning: {line}', file=sys.stderr)
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
