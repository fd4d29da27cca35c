"""Score class scores of another program.

``python tools/analysis_tools/eval_scores.py SCORES --labels labels.csv`` or
``... SCORES --config CONFIG`` prints what MultiLabelMetric prints.
"""

import argparse
from typing import Any, Dict

from mmwsl.apis import ToolParser
from mmwsl.apis.scoring import (
    Truth,
    add_table_options,
    config_truth,
    score_table,
    scoring_command,
)
from mmwsl.evaluation import AccuracyMetric, MultiLabelMetric
from mmwsl.evaluation.files import (
    ClassScores,
    class_indices,
    read_class_names,
    read_class_scores,
    read_image_labels,
)

parser = ToolParser(__doc__)
add_table_options(parser, 'scores', '.csv of path,label[|label...]')
text = 'score from which a class counts as predicted'
parser.option('--threshold', 0.5, text)
parser.option(
    '--count-difficult',
    False,
    'do not leave out classes of which an image shows difficult objects only',
)
text = 'one label for each image: top-1 and top-5 accuracy'
parser.option('--single-label', False, text)


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


@scoring_command(parser)
def main(args: argparse.Namespace) -> Dict[str, float]:
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
    return score_table(metric, given, truth, args.scores, 'scores')


if __name__ == '__main__':
    raise SystemExit(main())
