"""Score class scores of another program.

``python tools/analysis_tools/eval_scores.py SCORES --labels labels.csv`` or
``... SCORES --config CONFIG`` prints what MultiLabelMetric prints.
"""

import argparse
from typing import Any, Dict, List, Optional, Sequence, Tuple

from mmwsl.apis.scoring import (
    add_classes_option,
    add_truth_options,
    config_dataset,
    run_scoring,
)
from mmwsl.evaluation import AccuracyMetric, MultiLabelMetric
from mmwsl.evaluation.files import (
    ClassScores,
    class_indices,
    read_class_names,
    read_class_scores,
    read_image_labels,
    rows_of_images,
)

import numpy as np
import torch

Truth = Dict[str, Dict[str, np.ndarray]]


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Score class scores of another program'
    )
    parser.add_argument(
        'scores',
        help='.csv with an image and C scores a line (class names in a '
        'header, if any), or .npz with ids (n,) and scores (n, C)',
    )
    add_truth_options(parser, '--labels', '.csv of path,label[|label...]')
    add_classes_option(parser)
    parser.add_argument(
        '--threshold',
        type=float,
        default=0.5,
        help='score from which a class counts as predicted',
    )
    parser.add_argument(
        '--count-difficult',
        action='store_true',
        help='do not leave out classes of which an image shows difficult '
        'objects only',
    )
    parser.add_argument(
        '--single-label',
        action='store_true',
        help='one label for each image: top-1 and top-5 accuracy',
    )
    return parser.parse_args(argv)


def truth_of_config(args: argparse.Namespace) -> Tuple[Truth, List[str]]:
    """Labels and class names of a config's dataset."""
    dataset = config_dataset(args.config, args.split, args.cfg_options)
    truth = {}
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        keys = ('gt_label', 'gt_label_difficult')
        truth[info['img_id']] = {k: info[k] for k in keys if k in info}
    return truth, list(dataset.metainfo['classes'])


def truth_of_csv(
    args: argparse.Namespace, given: ClassScores
) -> Tuple[Truth, List[str]]:
    """Labels and class names without a config."""
    labels = read_image_labels(args.labels)
    if args.classes:
        classes = read_class_names(args.classes)
    elif given.classes:
        classes = given.classes
    else:
        classes = sorted({x for names in labels.values() for x in names})
    truth = {
        img_id: {
            'gt_label': class_indices(
                names, classes, f'{args.labels}: {img_id}'
            )
        }
        for img_id, names in labels.items()
    }
    return truth, classes


def match(
    given: ClassScores, truth: Truth, classes: List[str], path: str
) -> List[Dict[str, Any]]:
    """Samples of all images in the ground truth's order."""
    rows = rows_of_images(given, list(truth), classes, path)
    extra = len(given.ids) - len(truth)
    if extra:
        print(f'{extra} images of {path} have no labels and are left out')
    samples = []
    for (img_id, labels), row in zip(truth.items(), rows):
        score = torch.from_numpy(row)
        tensors = {k: torch.as_tensor(v) for k, v in labels.items()}
        samples.append({'img_id': img_id, 'pred_score': score, **tensors})
    return samples


def evaluate(args: argparse.Namespace) -> Dict[str, float]:
    """Score as the command line says."""
    given = read_class_scores(args.scores)
    if args.config:
        truth, classes = truth_of_config(args)
    else:
        truth, classes = truth_of_csv(args, given)
    metric: Any
    if args.single_label:
        metric = AccuracyMetric()
    else:
        metric = MultiLabelMetric(
            args.threshold, ignore_difficult=not args.count_difficult
        )
    metric.dataset_meta = {'classes': classes}
    samples = match(given, truth, classes, args.scores)
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Print the metrics and, with --out, write them."""
    return run_scoring(evaluate, parse_args(argv))


if __name__ == '__main__':
    raise SystemExit(main())
