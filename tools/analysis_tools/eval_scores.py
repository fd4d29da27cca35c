"""Score class scores of another program.

``python tools/analysis_tools/eval_scores.py SCORES --labels labels.csv`` or
``... SCORES --config CONFIG`` prints what MultiLabelMetric prints.
"""

import argparse
from typing import Any, Dict, Optional, Sequence

from mmwsl.apis import ToolParser
from mmwsl.apis.scoring import (
    Truth,
    add_table_options,
    config_truth,
    run_scoring,
    score_samples,
    table_samples,
)
from mmwsl.evaluation import AccuracyMetric, MultiLabelMetric
from mmwsl.evaluation.files import (
    ClassScores,
    class_indices,
    read_class_names,
    read_class_scores,
    read_image_labels,
)


def truth_of_csv(args: argparse.Namespace, given: ClassScores) -> Truth:
    """Labels and class names without a config."""
    labels = read_image_labels(args.labels)
    if args.classes:
        classes = read_class_names(args.classes)
    else:
        known = {x for names in labels.values() for x in names}
        classes = given.classes or sorted(known)
    truth = {}
    for img_id, names in labels.items():
        place = f'{args.labels}: {img_id}'
        truth[img_id] = dict(gt_label=class_indices(names, classes, place))
    return truth, classes


def evaluate(args: argparse.Namespace) -> Dict[str, float]:
    """Score as the command line says."""
    given = read_class_scores(args.scores)
    if args.config:
        truth = config_truth(args, ('gt_label', 'gt_label_difficult'))
    else:
        truth = truth_of_csv(args, given)
    metric: Any = MultiLabelMetric(
        args.threshold, ignore_difficult=not args.count_difficult
    )
    if args.single_label:
        metric = AccuracyMetric()
    samples = table_samples(given, truth, args.scores, 'scores')
    return score_samples(metric, [(x['img_id'], x) for x in samples], truth[1])


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Print the metrics and, with --out, write them."""
    parser = ToolParser(__doc__)
    add_table_options(parser, 'scores', '.csv of path,label[|label...]')
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
    return run_scoring(evaluate, parser, argv)


if __name__ == '__main__':
    raise SystemExit(main())
