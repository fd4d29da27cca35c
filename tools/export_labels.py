"""Export pseudo labels and predictions that lie on disk for other tools.

::

    export_labels.py FORMAT SOURCE OUT --images DIR --classes NAMES

SOURCE is one of:

- the folder that PseudoLabelWriter has written: ``labels/<image id>.png``,
  ``instances.json`` and ``counts.csv``, as far as they are there, or one of
  these files;
- a folder of label maps ``<image id>.png``;
- the ``out_dir`` of WSLInferencer: a JSON file for each image.

Objects are the instances or, where there are none, the connected parts of
each class in the label map. Images that SOURCE says nothing of are left out.
docs/export.md says which format is for which tool.
"""

import argparse
import os
from typing import Any, Dict, List, Optional, Sequence, Tuple

from mmwsl.apis import ToolParser, with_progress
from mmwsl.apis.command_line import add_min_area
from mmwsl.apis.scoring import read_results
from mmwsl.datasets.files import files_by_id
from mmwsl.evaluation.exporting import FORMATS, LabelExport, describe_label_map
from mmwsl.evaluation.files import read_class_names, read_class_scores
from mmwsl.pseudo_labels.labels import read_label_map
from mmwsl.utils.files import naming, read_json
from mmwsl.utils.images import image_size
from mmwsl.utils.masks import decode_mask

import numpy as np

# What as_dict says of each image, by image id.
Contents = Dict[str, Dict[str, Any]]

parser = ToolParser('Export pseudo labels and predictions for other tools')
parser.add_argument('format', choices=list(FORMATS), help='of the export')
parser.add_argument('source', help='folder or file of labels')
parser.add_argument('out', help='folder to write, new or empty')
parser.option(
    '--images',
    None,
    'folder of the images; JSON files of predictions name them',
    metavar='DIR',
)
parser.option(
    '--classes',
    None,
    "names of the classes, without background: 'a,b,c', a file with one a "
    'line, or voc; counts.csv and JSON files name them',
    metavar='NAMES',
)
add_min_area(parser)
parser.option(
    '--tolerance',
    0.75,
    'by how much polygons may leave the edges of pixels',
    metavar='PIXELS',
)
parser.option(
    '--image-url',
    None,
    'what Label Studio finds the images by, put before their names (default: '
    '/data/local-files/?d=NAME_OF_THE_FOLDER/)',
    metavar='PREFIX',
)
parser.option(
    '--model-version', 'mmwsl', 'name of the predictions in Label Studio'
)


def read_source(source: str) -> Tuple[Contents, List[str]]:
    """Read labels of any kind, and the names of classes that they tell."""
    if not os.path.exists(source):
        raise FileNotFoundError(f'{source}: there is no such file or folder')
    if not os.path.isdir(source):
        kind = 'instances' if source.endswith('.json') else 'counts'
        return read_written({kind: source})
    names = dict(
        labels='labels', instances='instances.json', counts='counts.csv'
    )
    written = {k: os.path.join(source, name) for k, name in names.items()}
    written = {k: path for k, path in written.items() if os.path.exists(path)}
    if written:
        return read_written(written)
    try:
        files = files_by_id(source, ('.json',), silent=True)
    except ValueError:
        return read_written({'labels': source})
    return read_predictions(files)


def read_written(files: Dict[str, str]) -> Tuple[Contents, List[str]]:
    """Read what PseudoLabelWriter has written."""
    contents: Contents = {}
    classes: List[str] = []
    if 'labels' in files:
        found = files_by_id(files['labels'], ('.png',), silent=True)
        for img_id, path in found.items():
            label_map = read_label_map(path)
            size = dict(zip(('height', 'width'), label_map.shape))
            described = describe_label_map(label_map, ())
            contents[img_id] = dict(described, file=path, **size)
    if 'counts' in files:
        path = files['counts']
        ids, counts, names = read_class_scores(path, 'counts')
        classes = names or []
        for img_id, row in zip(ids, counts.tolist()):
            contents.setdefault(img_id, dict(file=path))['counts'] = row
    if 'instances' in files:
        path = files['instances']
        for content in contents.values():
            content['instances'] = []
        kinds = dict(image_id=str, category_id=int, segmentation=dict)
        for number, item in enumerate(read_results(path, **kinds)):
            place = f'{path}: result {number}'
            item = dict(item, label=item['category_id'])
            item['score'] = item.get('score')
            check_object(item, place)
            mask = decode_mask(item['segmentation'], place)
            content = contents.setdefault(item['image_id'], dict(file=path))
            check_size(content, mask.shape, place)
            content.setdefault('instances', []).append(item)
    return contents, classes


def read_predictions(files: Dict[str, str]) -> Tuple[Contents, List[str]]:
    """Read the JSON files of WSLInferencer."""
    contents: Contents = {}
    classes: List[str] = []
    for img_id, path in files.items():
        content = read_json(path, 'prediction')
        with naming(path):
            check_prediction(content)
            classes = classes or content.get('classes', [])
            if content.get('classes', classes) != classes:
                raise ValueError('has other classes than the files before')
        contents[img_id] = dict(content, file=path)
    return contents, classes


def check_prediction(content: Any) -> None:
    """Refuse what WSLInferencer does not write."""
    if not isinstance(content, dict) or 'segments' not in content:
        raise ValueError('is no prediction of WSLInferencer (no segments)')
    for key in ('height', 'width'):
        if not isinstance(content.get(key), int) or content[key] < 1:
            raise ValueError(f'{key} is no number of pixels')
    for key in ('segments', 'instances', 'classes', 'scores', 'counts'):
        if not isinstance(content.get(key, []), list):
            raise ValueError(f'{key} is no list')
    if not all(isinstance(x, str) for x in content.get('classes', [])):
        raise ValueError('classes are no names')
    for value in content.get('scores', []) + content.get('counts', []):
        check_score(value, 'scores and counts')
    size = content['height'], content['width']
    for item in content['segments'] + content.get('instances', []):
        if not isinstance(item, dict):
            raise ValueError(f'{item!r} is no segment and no instance')
        check_object(item, 'segments and instances')
        decode_mask(item.get('segmentation'), f'class {item["label"]}', size)


def check_object(item: Dict[str, Any], place: str) -> None:
    """Refuse an object whose class is no index, or its score no number."""
    label = item.get('label')
    if not isinstance(label, int) or isinstance(label, bool) or label < 0:
        raise ValueError(f'{place}: {label!r} is no index of a class')
    if item.get('score') is not None:
        check_score(item['score'], place)


def check_score(score: Any, place: str) -> None:
    """Refuse what is no finite number."""
    if not isinstance(score, (int, float)) or not np.isfinite(score):
        raise ValueError(f'{place}: {score!r} is no score')


def check_size(
    content: Dict[str, Any], size: Sequence[int], place: str
) -> None:
    """Keep the size of an image, and refuse another one."""
    height, width = size
    known = content.setdefault('height', height)
    if (known, content.setdefault('width', width)) != (height, width):
        raise ValueError(
            f'{place}: is {width} x {height} pixels, but '
            f'{content["file"]} says {content["width"]} x {known}'
        )


def find_images(contents: Contents, folder: Optional[str]) -> None:
    """Find the image of each id, whose size must be that of its labels."""
    images = files_by_id(folder) if folder else {}
    for img_id, content in contents.items():
        path = images.get(img_id, content.get('img_path'))
        if path is None or (folder and not os.path.isfile(path)):
            hint = f'{folder} holds no image' if folder else 'say --images'
            raise FileNotFoundError(f'{content["file"]}: {img_id}: {hint}')
        content['img_path'] = path
        if os.path.isfile(path):
            check_size(content, image_size(path), path)


def check_classes(contents: Contents, classes: Sequence[str]) -> None:
    """Refuse labels of classes without names."""
    for content in contents.values():
        labels = [len(content.get('counts', ())) - 1]
        for key in ('segments', 'instances'):
            labels += [item['label'] for item in content.get(key, ())]
        if max(labels) >= len(classes):
            raise ValueError(
                f'{content["file"]}: holds class {max(labels)}, counted from '
                f'0, but there are names of {len(classes)}'
            )


@parser.command
def main(args: argparse.Namespace) -> None:
    """Export as the command line says."""
    settings = dict(
        image_dir=args.images,
        min_area=args.min_area,
        tolerance=args.tolerance,
        image_url=args.image_url,
        model_version=args.model_version,
    )
    # Refused before anything is read.
    LabelExport(args.format, args.out, **settings)
    contents, classes = read_source(args.source)
    if args.classes:
        classes = read_class_names(args.classes)
    if not classes:
        raise ValueError(
            f'{args.source}: does not name the classes; say --classes'
        )
    find_images(contents, args.images)
    check_classes(contents, classes)
    export = LabelExport(args.format, args.out, classes, **settings)
    with export:
        for img_id, content in with_progress(contents.items()):
            export.add(img_id, content)
    print(export.summary())


if __name__ == '__main__':
    raise SystemExit(main())
