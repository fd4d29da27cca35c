"""Score instance masks of another program.

``python tools/analysis_tools/eval_instances.py RESULTS.json --config CONFIG``
prints what InstanceAPMetric prints.
"""

import argparse
from typing import Any, Dict, List, Sequence, Tuple

from mmwsl.apis import ToolParser, with_progress
from mmwsl.apis.scoring import (
    add_truth_options,
    config_dataset,
    read_results,
    scoring_command,
)
from mmwsl.evaluation import InstanceAPMetric
from mmwsl.evaluation.files import without_suffix
from mmwsl.evaluation.metrics.instance_ap_metric import MASK_SOURCES
from mmwsl.utils.files import naming, read_json
from mmwsl.utils.masks import decode_segmentation

import numpy as np

Result = Dict[str, Any]

parser = ToolParser(__doc__)
parser.add_argument(
    'results',
    help='.json in the format of COCO results: a list of image_id, '
    'category_id, segmentation (run lengths or polygons) and score',
)
add_truth_options(parser)
parser.option(
    '--ann-file',
    None,
    '.json in the format of COCO whose images and categories say what the ids '
    'mean; without it image_id is the path of the image in its folder and '
    'category_id the index of the class, from 0, or its name',
)
parser.option(
    '--masks',
    'instances',
    'single: only objects that are the only one of their class, for data with '
    'class masks alone',
    choices=MASK_SOURCES,
)
parser.option('--thresholds', [0.25, 0.5, 0.75])


def read_meanings(ann_file: str) -> Tuple[Dict[Any, str], Dict[Any, str]]:
    """Files of images and names of categories, by their ids."""
    content = read_json(ann_file)
    try:
        images, categories = content['images'], content['categories']
        return (
            {x['id']: x['file_name'] for x in images},
            {x['id']: x['name'] for x in categories},
        )
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'{ann_file}: expected images with id and file_name and '
            'categories with id and name'
        ) from error


def class_index(name: Any, classes: List[str]) -> int:
    """The class that is called so, or has this index."""
    if name in classes:
        return classes.index(name)
    if isinstance(name, int) and 0 <= name < len(classes):
        return name
    raise ValueError(
        f'category {name!r} is no class: there are {len(classes)}, '
        f'{", ".join(classes[:3])}, ...'
    )


def group(
    args: argparse.Namespace, classes: List[str]
) -> Dict[str, List[Result]]:
    """The results of each image, with ``label``."""
    meanings = read_meanings(args.ann_file) if args.ann_file else None
    found: Dict[str, List[Result]] = {}
    kinds = dict(image_id=(str, int, float), category_id=(str, int, float))
    kinds.update(segmentation=object, score=(int, float))
    for number, result in enumerate(read_results(args.results, **kinds)):
        names = [result['image_id'], result['category_id']]
        with naming(f'{args.results}: result {number}'):
            for i, known in enumerate(meanings or ()):
                if names[i] not in known:
                    kind = ('image', 'category')[i]
                    raise ValueError(
                        f'{kind} {names[i]!r} is not in the ann-file'
                    )
                names[i] = known[names[i]]
            label = class_index(names[1], classes)
        image = without_suffix(str(names[0]))
        found.setdefault(image, []).append({**result, 'label': label})
    return found


def instances(
    results: List[Result], size: Sequence[int], place: str
) -> Dict[str, np.ndarray]:
    """The instances of one image, as the metric reads them."""
    masks = np.zeros((len(results), *size), dtype=bool)
    for mask, result in zip(masks, results):
        mask[:] = decode_segmentation(
            result['segmentation'], (size[0], size[1]), place, allow_empty=True
        )
    return {
        'labels': np.array([x['label'] for x in results], np.int64),
        'scores': np.array([x['score'] for x in results], np.float64),
        'masks': masks,
    }


@scoring_command(parser)
def main(args: argparse.Namespace) -> Dict[str, float]:
    """Score as the command line says."""
    single = args.masks == 'single'
    dataset = config_dataset(
        args.config,
        args.split,
        args.cfg_options,
        ['gt_instances'] + ['gt_sem_seg'] * single,
        with_masks=not single,
    )
    classes = list(dataset.metainfo['classes'])
    found = group(args, classes)
    metric = InstanceAPMetric(args.thresholds, args.masks)
    metric.dataset_meta = {'classes': classes}
    empty = 0
    for index in with_progress(range(len(dataset))):
        sample = dataset[index]['data_samples'].to_dict()
        own = found.pop(sample['img_id'], [])
        empty += not own
        place = f'{args.results}: {sample["img_id"]}'
        sample['pred_instances'] = instances(own, sample['ori_shape'], place)
        metric.process(None, [sample])
    if found:
        print(
            f'{len(found)} images of {args.results} are not in the dataset '
            f'and left out, the first is {next(iter(found))}'
        )
    if empty:
        print(f'{empty} of {len(dataset)} images have no result')
    return metric.evaluate(len(dataset))


if __name__ == '__main__':
    raise SystemExit(main())
