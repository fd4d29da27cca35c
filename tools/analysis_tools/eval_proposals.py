"""Say how well object proposals cover the objects of a data set.

``python tools/analysis_tools/eval_proposals.py CONFIG data/proposals`` prints
recall and ABO (mean best overlap), which bounds what can be retrieved.
"""

import argparse
import json
import os
from typing import Any, Dict, List, Optional, Sequence, Tuple

from mmwsl.apis import (
    add_cfg_options,
    dataset_config,
    friendly_errors,
    load_config,
)
from mmwsl.datasets.base import base_datasets
from mmwsl.datasets.transforms import (
    LoadEvalAnnotations,
    LoadProposals,
    LoadWSLImage,
)
from mmwsl.proposals import (
    best_overlaps,
    proposal_scores,
    quality_table,
    single_instances,
)
from mmwsl.registry import DATASETS

import numpy as np


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Say how well object proposals cover the objects'
    )
    parser.add_argument('config', help='config file with a test set')
    parser.add_argument(
        'proposals',
        help='folder of proposal files, or one .json list of all images',
    )
    parser.add_argument(
        '--suffix', default='.npz', help="what follows the images' ids"
    )
    parser.add_argument(
        '--instances',
        choices=['masks', 'single'],
        default='masks',
        help='the objects: those with instance masks, or, where a data set '
        'has class masks and boxes only, those that are the only one of '
        'their class in their image',
    )
    parser.add_argument(
        '--numbers',
        nargs='+',
        type=int,
        default=[50, 100, 200],
        help='how many of the best proposals to look at',
    )
    parser.add_argument('--out', help='write the figures to this .json')
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    if min(args.numbers) < 1:
        parser.error('--numbers must be at least 1')
    args.numbers = sorted(set(args.numbers))
    return args


class Overlaps:
    """Compares the proposals of images with their objects.

    Args:
        args (argparse.Namespace): The command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.numbers = args.numbers
        self.single = args.instances == 'single'
        self.load_img = LoadWSLImage()
        self.load_proposals = LoadProposals(args.proposals, args.suffix)

    def __call__(self, info: Dict[str, Any]) -> Tuple[np.ndarray, np.ndarray]:
        """Return the best overlaps (n, numbers) and labels (n,)."""
        info = self.load_img(info)
        annotation = info.get('eval_ann', {})
        with_map = self.single or bool(
            'seg_map' in annotation or annotation.get('seg_map_path')
        )
        info = LoadEvalAnnotations(
            with_seg_map=with_map,
            with_instances=self.single,
            with_masks=not self.single,
        )(info)
        truth = info['eval_gt']
        masks = truth['gt_instances'].get('masks')
        labels = truth['gt_instances']['labels']
        if self.single:
            masks, labels = single_instances(truth['gt_sem_seg'], labels)
        ignored = truth['gt_sem_seg'] == 255 if with_map else None
        proposals = self.load_proposals(info)['proposals']
        overlaps = best_overlaps(proposals, masks, self.numbers, ignored)
        return overlaps, labels


def evaluate(args: argparse.Namespace) -> Dict[str, Any]:
    """Compare all images of the test set."""
    cfg = load_config(args.config, args.cfg_options)
    settings = dataset_config(cfg, 'test')
    compare = Overlaps(args)
    overlaps: List[np.ndarray] = []
    labels: List[np.ndarray] = []
    classes: Tuple[str, ...] = ()
    dataset = DATASETS.build(settings)
    for inner in base_datasets(dataset):
        inner.full_init()
        classes = inner.classes
        for index in range(len(inner)):
            found = compare(inner.get_data_info(index))
            overlaps.append(found[0])
            labels.append(found[1])
    scores = proposal_scores(
        np.concatenate(overlaps), np.concatenate(labels), args.numbers, classes
    )
    print(quality_table(scores, args.numbers))
    return scores


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Print the table and, with --out, write the figures."""
    args = parse_args(argv)
    with friendly_errors():
        scores = evaluate(args)
        overall = {k: v for k, v in scores.items() if k != 'classes'}
        print(json.dumps({k: round(v, 2) for k, v in overall.items()}))
        if args.out:
            os.makedirs(os.path.dirname(args.out) or '.', exist_ok=True)
            with open(args.out, 'w', encoding='utf-8') as file:
                json.dump(scores, file, indent=1)
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
