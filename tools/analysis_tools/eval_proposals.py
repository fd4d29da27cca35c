"""Say how well object proposals cover the objects of a data set.

``python tools/analysis_tools/eval_proposals.py CONFIG data/proposals`` prints
recall and ABO (mean best overlap), which bounds what can be retrieved.
"""

import argparse
import json
import os
from typing import Any, Dict, List, Optional, Sequence, Tuple

from mmwsl.apis import (
    ToolParser,
    add_cfg_options,
    dataset_config,
    friendly_errors,
    load_config,
    with_progress,
)
from mmwsl.apis.image_files import image_loader
from mmwsl.datasets.base import base_datasets
from mmwsl.datasets.transforms import (
    LoadEvalAnnotations,
    LoadProposals,
)
from mmwsl.proposals import (
    best_overlaps,
    proposal_scores,
    quality_table,
    single_instances,
)
from mmwsl.registry import DATASETS

import numpy as np


def load_truth(
    info: Dict[str, Any], single: bool
) -> Tuple[np.ndarray, np.ndarray, Optional[np.ndarray]]:
    """Masks and labels of an image's objects, and its ignored pixels."""
    annotation = info.get('eval_ann', {})
    with_map = single or bool(
        'seg_map' in annotation or annotation.get('seg_map_path')
    )
    truth = LoadEvalAnnotations(
        with_seg_map=with_map, with_instances=single, with_masks=not single
    )(info)['eval_gt']
    labels = truth['gt_instances']['labels']
    masks = truth['gt_instances'].get('masks')
    if single:
        masks, labels = single_instances(truth['gt_sem_seg'], labels)
    return masks, labels, truth['gt_sem_seg'] == 255 if with_map else None


def evaluate(args: argparse.Namespace) -> Dict[str, Any]:
    """Compare all images of the test set."""
    cfg = load_config(args.config, args.cfg_options)
    dataset = DATASETS.build(dataset_config(cfg, 'test'))
    load_proposals = LoadProposals(args.proposals, args.suffix)
    overlaps: List[np.ndarray] = []
    labels: List[np.ndarray] = []
    for inner in base_datasets(dataset):
        inner.full_init()
        load_img = image_loader(inner)
        for index in with_progress(range(len(inner))):
            info = load_img(inner.get_data_info(index))
            masks, own, ignored = load_truth(info, args.instances == 'single')
            proposals = load_proposals(info)['proposals']
            overlaps.append(
                best_overlaps(proposals, masks, args.numbers, ignored)
            )
            labels.append(own)
    scores = proposal_scores(
        np.concatenate(overlaps),
        np.concatenate(labels),
        args.numbers,
        dataset.metainfo['classes'],
    )
    print(quality_table(scores, args.numbers))
    return scores


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Print the table and, with --out, write the figures."""
    parser = ToolParser(__doc__)
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
    with friendly_errors():
        if min(args.numbers) < 1:
            parser.error('--numbers must be at least 1')
        args.numbers = sorted(set(args.numbers))
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
