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
from typing import Any, Dict, Iterator, List

from mmwsl.apis import ToolParser, with_progress
from mmwsl.datasets import OwnDataset
from mmwsl.datasets.files import image_id
from mmwsl.datasets.own import class_warnings
from mmwsl.datasets.transforms import LoadEvalAnnotations, LoadWSLImage
from mmwsl.pseudo_labels.labels import write_label_map
from mmwsl.utils.arrays import spread
from mmwsl.utils.files import join_inside, write_lines

import numpy as np

SIZES = (224, 256)
PARTS = ('train', 'val')
KINDS = dict(
    coco='COCO json', xml='VOC XML', table='table', folders='class folders'
)

parser = ToolParser('Say what is found in a folder of own images')
parser.add_argument('data_root', help='folder of images and labels')
parser.add_argument('out', help='folder to write to')
parser.option(
    '--labels',
    '.',
    "file or folder of the labels in DATA_ROOT, or 'folders' for one a class, "
    'where there are several kinds',
)
text = 'what the header of a table calls its columns'
parser.option('--columns', 'path', text, metavar='PATH,LABEL,COUNT')
text = 'what white is in 16-bit images of fewer bits, such as 4095'
parser.option('--max-value', 0, text)


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


def describe(args: argparse.Namespace) -> Dict[str, Any]:
    """Find out what there is and write it down."""
    dataset = OwnDataset(
        data_root=args.data_root,
        labels=args.labels,
        columns=args.columns,
        split='all',
        test_mode=True,
    )
    found = dataset.summary()
    boxes = os.path.join(args.out, 'boxes')
    images = list(read_images(dataset, boxes, args.max_value))
    sizes = np.array([x['size'] for x in images if x['split'] in PARTS])
    short = float(np.median(sizes.min(axis=1)))
    found.update(
        median_size=np.median(sizes, axis=0)[::-1].astype(int).tolist(),
        size=int(np.clip(32 * round(short / 32), *SIZES)),
        boxes=sum(image['boxes'] for image in images),
        broken_boxes=[x['error'] for x in images if x['error']],
    )
    total = found['train'] + found['val']
    found['warnings'] = [*class_warnings(found['images'], total)]
    if found['broken_boxes']:
        found['warnings'].append(
            f'{len(found["broken_boxes"])} images are not scored, the first: '
            f'{found["broken_boxes"][0]}'
        )
    files: Dict[str, List[str]] = {
        'shown.txt': [],
        'classes.txt': found['classes'],
    }
    for split in (*PARTS, 'unlabelled'):
        own = [image for image in images if image['split'] == split]
        ids = [image['img_id'] for image in own]
        files[f'{split}.txt'] = ids
        judged = [image['img_id'] for image in own if image['boxes']]
        files[f'{split}_boxes.txt'] = judged
        places = spread(len(ids), 4 if split in PARTS else 2)
        files['shown.txt'] += [ids[place] for place in places]
    # All images were read, so that none is black with 16 bits.
    values = dict(size=found['size'], max_value=args.max_value or 65535)
    files['values.json'] = [json.dumps(values)]
    files['data.json'] = [json.dumps(found, indent=1)]
    for name, lines in files.items():
        write_lines(os.path.join(args.out, name), lines)
    return found


@parser.command
def main(args: argparse.Namespace) -> None:
    """Describe the data."""
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
        objects = '' if most is None else f', up to {most} objects'
        print(f'class {name}: in {images} images{objects}')
    for line in found['warnings']:
        print(f'warning: {line}', file=sys.stderr)


if __name__ == '__main__':
    raise SystemExit(main())
