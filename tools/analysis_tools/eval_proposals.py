"""Say how well object proposals cover the objects of a data set.

``python tools/analysis_tools/eval_proposals.py CONFIG data/proposals`` prints
recall and ABO (mean best overlap), which bounds what can be retrieved.
"""

import argparse
import json
from typing import Any, List

from mmwsl.apis import ToolParser, with_progress
from mmwsl.apis.scoring import config_dataset, load_truth
from mmwsl.datasets.transforms import LoadProposals
from mmwsl.evaluation.metrics.base import pixels
from mmwsl.evaluation.metrics.instance_ap_metric import instance_truth
from mmwsl.proposals import best_overlaps, proposal_scores, quality_table
from mmwsl.pseudo_labels.labels import IGNORE
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


def objects_of(args: argparse.Namespace) -> Any:
    """Build the test set with its objects and, if there are any, masks."""
    dataset = config_dataset(args.config, 'test', args.cfg_options, ())
    single = args.instances == 'single'
    keys = ['gt_instances', 'gt_sem_seg']
    if not single:
        known = dataset[0]['eval_ann']
        if 'seg_map' not in known and not known.get('seg_map_path'):
            keys = ['gt_instances']
    load_truth(dataset, keys, with_masks=not single)
    return dataset


@parser.command
def main(args: argparse.Namespace) -> None:
    """Print the table and, with --out, write the figures."""
    if min(args.numbers) < 1:
        parser.error('--numbers must be at least 1')
    numbers = sorted(set(args.numbers))
    source = 'single' if args.instances == 'single' else 'instances'
    dataset = objects_of(args)
    load_proposals = LoadProposals(args.proposals, args.suffix)
    overlaps: List[np.ndarray] = []
    labels: List[np.ndarray] = []
    for index in with_progress(range(len(dataset))):
        sample = dataset[index]['data_samples'].to_dict()
        truth = instance_truth(sample, source)
        valid = None
        if 'gt_sem_seg' in sample:
            valid = pixels(sample, 'gt_sem_seg') != IGNORE
        proposals = load_proposals(sample)['proposals']
        overlaps.append(best_overlaps(proposals, truth.masks, numbers, valid))
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
