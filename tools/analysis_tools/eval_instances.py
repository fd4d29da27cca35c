"""Score instance masks of another program.

``python tools/analysis_tools/eval_instances.py RESULTS.json --config CONFIG``
prints what InstanceAPMetric prints.
"""

import argparse
from typing import Any, Dict, List, Optional, Sequence

from mmwsl.apis.scoring import (
    add_truth_options,
    config_dataset,
    run_scoring,
)
from mmwsl.evaluation import InstanceAPMetric
from mmwsl.evaluation.files import without_suffix
from mmwsl.evaluation.metrics.instance_ap_metric import MASK_SOURCES
from mmwsl.utils.files import naming, read_json
from mmwsl.utils.masks import decode_segmentation

import numpy as np
import torch

Result = Dict[str, Any]
_KINDS: Dict[str, Any] = {
    'image_id': (str, int, float),
    'category_id': (str, int, float),
    'segmentation': object,
    'score': (int, float),
}


def read_results(path: str) -> List[Result]:
    """Read the results and check that nothing is missing."""
    results = read_json(path)
    if not isinstance(results, list):
        raise ValueError(f'{path}: expected a list of results')
    for number, result in enumerate(results):
        known = result if isinstance(result, dict) else {}
        for key, kinds in _KINDS.items():
            if key not in known:
                raise ValueError(f'{path}: result {number} has no {key!r}')
            if not isinstance(result[key], kinds):
                raise ValueError(
                    f'{path}: result {number} has the {key} {result[key]!r}'
                )
    return results


class Names:
    """What the ids of results mean.

    Args:
        classes: Class names of the dataset.
        ann_file: See the command line.
    """

    def __init__(self, classes: List[str], ann_file: Optional[str]) -> None:
        self.classes = classes
        self.images: Optional[Dict[Any, str]] = None
        self.categories: Optional[Dict[Any, str]] = None
        if ann_file:
            content = read_json(ann_file)
            try:
                images, categories = content['images'], content['categories']
                self.images = {x['id']: x['file_name'] for x in images}
                self.categories = {x['id']: x['name'] for x in categories}
            except (KeyError, TypeError) as error:
                raise ValueError(
                    f'{ann_file}: expected images with id and file_name and '
                    'categories with id and name'
                ) from error

    def image(self, result: Result) -> str:
        """The image id of the dataset."""
        name = result['image_id']
        if self.images is not None:
            if name not in self.images:
                raise ValueError(f'image {name!r} is not in the ann-file')
            name = self.images[name]
        return without_suffix(str(name))

    def label(self, result: Result) -> int:
        """The class index of the dataset."""
        name = result['category_id']
        if self.categories is not None:
            if name not in self.categories:
                raise ValueError(f'category {name!r} is not in the ann-file')
            name = self.categories[name]
        if name in self.classes:
            return self.classes.index(name)
        if isinstance(name, int) and 0 <= name < len(self.classes):
            return name
        raise ValueError(
            f'category {name!r} is no class: there are {len(self.classes)}, '
            f'{", ".join(self.classes[:3])}, ...'
        )


def group(
    results: List[Result], names: Names, path: str
) -> Dict[str, List[Result]]:
    """The results of each image, with ``label``."""
    found: Dict[str, List[Result]] = {}
    for number, result in enumerate(results):
        with naming(f'{path}: result {number}'):
            image, label = names.image(result), names.label(result)
        found.setdefault(image, []).append({**result, 'label': label})
    return found


def instances(
    results: List[Result], size: Sequence[int], place: str
) -> Dict[str, torch.Tensor]:
    """The instances of one image, as the metric reads them."""
    masks = np.zeros((len(results), *size), dtype=bool)
    for mask, result in zip(masks, results):
        mask[:] = decode_segmentation(
            result['segmentation'], (size[0], size[1]), place, allow_empty=True
        )
    return {
        'labels': torch.tensor([x['label'] for x in results]),
        'scores': torch.tensor([float(x['score']) for x in results]),
        'masks': torch.from_numpy(masks),
    }


def truth_pipeline(masks: str) -> List[Dict[str, Any]]:
    """The transforms that load ground truth."""
    single = masks == 'single'
    keys = ('gt_instances', 'gt_sem_seg') if single else ('gt_instances',)
    return [
        dict(
            type='LoadEvalAnnotations',
            with_seg_map=single,
            with_instances=True,
            with_masks=not single,
        ),
        dict(type='PackWSLInputs', eval_keys=keys),
    ]


def evaluate(args: argparse.Namespace) -> Dict[str, float]:
    """Score as the command line says."""
    results = read_results(args.results)
    dataset = config_dataset(
        args.config,
        args.split,
        args.cfg_options,
        truth_pipeline(args.masks),
    )
    classes = list(dataset.metainfo['classes'])
    found = group(results, Names(classes, args.ann_file), args.results)
    metric = InstanceAPMetric(args.thresholds, args.masks)
    metric.dataset_meta = {'classes': classes}
    empty = 0
    for index in range(len(dataset)):
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


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Print the metrics and, with --out, write them."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        'results',
        help='.json in the format of COCO results: a list of image_id, '
        'category_id, segmentation (run lengths or polygons) and score',
    )
    add_truth_options(parser)
    parser.add_argument(
        '--ann-file',
        help='.json in the format of COCO whose images and categories say '
        'what the ids mean; without it image_id is the path of the image '
        'in its folder and category_id the index of the class, from 0, or '
        'its name',
    )
    parser.add_argument(
        '--masks',
        default='instances',
        choices=MASK_SOURCES,
        help='single: only objects that are the only one of their class, '
        'for data with class masks alone',
    )
    parser.add_argument(
        '--thresholds', nargs='+', type=float, default=[0.25, 0.5, 0.75]
    )
    return run_scoring(evaluate, parser, argv)


if __name__ == '__main__':
    raise SystemExit(main())
