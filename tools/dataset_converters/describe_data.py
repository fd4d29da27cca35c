"""Say what is found in a folder of own images, for the stages of a pipeline.

::

    describe_data.py data/fruit OUT

prints the classes, what kind of labels there are, the division into training
and validation, and what will not work. ``OUT`` gets all that as ``data.json``,
``classes.txt``, the image ids ``train.txt`` and ``val.txt``, some for pages in
``shown.txt``, ``values.json`` for later stages and, where labels have boxes,
``boxes/<image id>.png``: filled boxes, to judge predictions by.
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
        help='file or folder of the labels in DATA_ROOT, where there are '
        'several',
    )
    return parser.parse_args(argv)


def read_images(dataset: OwnDataset, folder: str) -> Iterator[Dict[str, Any]]:
    """Read all images and write their boxes; yield size and what is wrong."""
    load = LoadWSLImage(min_size=1)
    fill = LoadEvalAnnotations(seg_map_from='boxes', absent='ignore')
    for index in with_progress(range(len(dataset))):
        info = load(dataset.get_data_info(index))
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


def describe(data_root: str, labels: str, out: str) -> Dict[str, Any]:
    """Find out what there is and write it down."""
    dataset = OwnDataset(
        data_root=data_root, labels=labels, split='all', test_mode=True
    )
    found = dataset.summary()
    images = list(read_images(dataset, os.path.join(out, 'boxes')))
    sizes = np.array([image['size'] for image in images])
    short = float(np.median(sizes.min(axis=1)))
    found.update(
        median_size=np.median(sizes, axis=0)[::-1].astype(int).tolist(),
        size=int(np.clip(32 * round(short / 32), *SIZES)),
        boxes=sum(image['boxes'] for image in images),
        broken_boxes=[x['error'] for x in images if x['error']],
    )
    found['warnings'] = list(warnings(found))
    shown: List[str] = []
    judged = {image['img_id'] for image in images if image['boxes']}
    for split in ('train', 'val'):
        ids = [image['img_id'] for image in images if image['split'] == split]
        shown += spread(ids, 4)
        kept = [img_id for img_id in ids if img_id in judged] or ids
        write(out, f'{split}.txt', '\n'.join(kept))
    others = [image_id(path, data_root) for path in dataset.unlabelled]
    write(out, 'shown.txt', '\n'.join(shown + spread(others, 2)))
    write(out, 'classes.txt', '\n'.join(found['classes']))
    write(out, 'values.json', json.dumps(dict(size=found['size'])))
    write(out, 'data.json', json.dumps(found, indent=1))
    return found


def spread(ids: List[str], number: int) -> List[str]:
    """Some ids at equal distances."""
    number = min(number, len(ids))
    places = np.linspace(0, len(ids) - 1, number).round().astype(int)
    return [ids[place] for place in places]


def write(folder: str, name: str, text: str) -> None:
    """Write a file of text."""
    write_whole(os.path.join(folder, name), f'{text}\n'.encode())


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Describe the data."""
    args = parse_args(argv)
    with friendly_errors():
        found = describe(args.data_root, args.labels, args.out)
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
