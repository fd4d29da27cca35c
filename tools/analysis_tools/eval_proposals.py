"""Say how well object proposals cover the objects of a data set.

``python tools/analysis_tools/eval_proposals.py CONFIG data/proposals`` prints
recall and ABO (mean best overlap), which bounds what can be retrieved.
"""

import argparse
import json
from typing import Any, Dict, List

from mmwsl.apis import (
    ToolParser,
    dataset_config,
    load_config,
    with_progress,
)
from mmwsl.apis.image_files import image_loader
from mmwsl.datasets.base import base_datasets
from mmwsl.datasets.transforms import (
    LoadEvalAnnotations,
    LoadProposals,
)
from mmwsl.evaluation.metrics.instance_ap_metric import (
    InstanceTruth,
    instance_truth,
)
from mmwsl.proposals import (
    best_overlaps,
    proposal_scores,
    quality_table,
)
from mmwsl.pseudo_labels.labels import IGNORE
from mmwsl.registry import DATASETS
from mmwsl.utils.files import write_whole

import numpy as np

parser = ToolParser(__doc__)
parser.add_argument('config', help='config file with a test set')
text = 'folder of proposal files, or one .json list of all images'
parser.add_argument('proposals', help=text)
parser.option('--suffix', '.npz', "what follows the images' ids")
parser.option(
    '--instances',
    'masks',
    'the objects: those with instance masks, or, where a data set has class '
    'masks and boxes only, those that are the only one of their class in '
    'their image',
    choices=['masks', 'single'],
)
text = 'how many of the best proposals to look at'
parser.option('--numbers', [50, 100, 200], text)
parser.option('--out', None, 'write the figures to this .json')
parser.cfg_options()


def load_truth(info: Dict[str, Any], single: bool) -> InstanceTruth:
    """The objects of an image, and the pixels that count."""
    annotation = info.get('eval_ann', {})
    with_map = single or bool(
        'seg_map' in annotation or annotation.get('seg_map_path')
    )
    found = LoadEvalAnnotations(
        with_seg_map=with_map, with_instances=single, with_masks=not single
    )(info)['eval_gt']
    if with_map:
        found['gt_sem_seg'] = dict(data=found['gt_sem_seg'])
    source = 'single' if single else 'instances'
    truth = instance_truth(dict(found, img_id=info['img_id']), source)
    if with_map:
        truth = truth._replace(valid=found['gt_sem_seg']['data'] != IGNORE)
    return truth


@parser.command
def main(args: argparse.Namespace) -> None:
    """Print the table and, with --out, write the figures."""
    if min(args.numbers) < 1:
        parser.error('--numbers must be at least 1')
    numbers = sorted(set(args.numbers))
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
            truth = load_truth(info, args.instances == 'single')
            proposals = load_proposals(info)['proposals']
            overlaps.append(
                best_overlaps(proposals, truth.masks, numbers, truth.valid)
            )
            labels.append(truth.labels)
    scores = proposal_scores(
        np.concatenate(overlaps),
        np.concatenate(labels),
        numbers,
        dataset.metainfo['classes'],
    )
    print(quality_table(scores, numbers))
    overall = {k: v for k, v in scores.items() if k != 'classes'}
    print(json.dumps({k: round(v, 2) for k, v in overall.items()}))
    if args.out:
        write_whole(args.out, json.dumps(scores, indent=1).encode())


if __name__ == '__main__':
    raise SystemExit(main())
