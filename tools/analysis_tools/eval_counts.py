"""Score object counts of another program.

``python tools/analysis_tools/eval_counts.py COUNTS --labels labels.csv`` or
``... COUNTS --config CONFIG`` prints what CountMetric prints.
"""

import argparse
from typing import Dict, List, Optional

from mmwsl.apis import ToolParser
from mmwsl.apis.scoring import (
    Truth,
    add_table_options,
    config_dataset,
    config_truth,
    score_table,
    scoring_command,
)
from mmwsl.datasets.label_lists import is_number, parse_labels, read_label_file
from mmwsl.evaluation import CountMetric
from mmwsl.evaluation.files import (
    read_class_names,
    read_class_scores,
    rows_of_images,
    without_suffix,
)
from mmwsl.evaluation.functional.counting import is_count
from mmwsl.evaluation.metrics.base import field
from mmwsl.evaluation.metrics.count_metric import mean_counts

import numpy as np

parser = ToolParser(__doc__)
add_table_options(
    parser,
    'counts',
    'true counts: .csv of path,class,count, one class a line, or a file like '
    'COUNTS',
)
parser.option(
    '--round',
    False,
    'round the counts to whole numbers, and negative ones to 0',
)
parser.option(
    '--cap',
    None,
    'highest count that the capped predictor knows, by default one more than '
    '--max-count',
    type=int,
)
parser.option('--max-count', 4, 'largest count that training knows as such')
parser.option(
    '--baseline',
    None,
    'counts in training, a file like --labels, whose means are another '
    'predictor; by default those of the config, if it has any',
)
Names = Optional[List[str]]


def truth_of_list(path: str, forced: Names, known: Names) -> Truth:
    """Counts and class names of a file of path,class,count."""
    found: Dict[str, Dict[str, int]] = {}
    file = read_label_file(path, 'label file')
    for number, cells in file.lines:
        place = f'{path}: line {number}'
        if number == 1 and not is_number(cells[-1]) and any(cells[1:]):
            continue  # a header of another name
        counts = found.setdefault(without_suffix(cells[0]), {})
        for name, count in parse_labels(place, cells, file):
            if name and count is None:
                raise ValueError(f'{place}: expected path,class,count')
            if name in counts:
                raise ValueError(f'{place}: {cells[0]} has {name!r} before')
            if name:
                counts[name] = count
    names = sorted({name for counts in found.values() for name in counts})
    classes = forced or known or names
    for name in names:
        if name not in classes:
            raise ValueError(
                f'{path}: class {name!r} is not in the list of classes'
            )
    truth = {
        img_id: dict(gt_count=np.array([counts.get(x, 0) for x in classes]))
        for img_id, counts in found.items()
    }
    return truth, classes


def truth_of_table(path: str, forced: Names, known: Names) -> Truth:
    """Counts and class names of a file like that of the predictions."""
    table = read_class_scores(path, 'counts')
    numbers = [str(c) for c in range(table.scores.shape[1])]
    classes = forced or table.classes or known or numbers
    rows = rows_of_images(table, table.ids, classes, path, 'counts')
    for img_id, row in zip(table.ids, rows):
        if not is_count(row).all():
            raise ValueError(
                f'{path}: {img_id}: counts {row.tolist()} are not all whole '
                'numbers >= 0'
            )
    return {x: dict(gt_count=row) for x, row in zip(table.ids, rows)}, classes


def truth_of_file(path: str, forced: Names, known: Names = None) -> Truth:
    """Counts of each image and class names of any file of counts.

    Args:
        path: The file.
        forced: The classes, in any case.
        known: Those of the predictions, where the file does not order them.
    """
    if path.endswith('.csv'):
        for _, cells in read_label_file(path, 'label file').lines:
            counted = len(cells) == 3 and is_number(cells[2])
            if counted and not is_number(cells[1]):
                return truth_of_list(path, forced, known)
    return truth_of_table(path, forced, known)


def training_means(
    args: argparse.Namespace, classes: List[str]
) -> Optional[np.ndarray]:
    """Mean counts of the classes in training, if a file or a config says."""
    if args.baseline:
        truth, _ = truth_of_file(args.baseline, classes)
        if not truth:
            raise ValueError(f'{args.baseline}: holds no counts')
        return np.mean([x['gt_count'] for x in truth.values()], axis=0)
    if not args.config:
        return None
    try:
        data = config_dataset(args.config, 'train', args.cfg_options)
        return mean_counts(data, classes)
    except (OSError, ValueError) as error:
        print(f'no means of training counts: {error}')
        return None


@scoring_command(parser)
def main(args: argparse.Namespace) -> Dict[str, float]:
    """Score as the command line says."""
    given = read_class_scores(args.counts, 'counts')
    if args.config:
        truth = config_truth(args, ('gt_count',))
        for img_id, known in truth[0].items():
            field({'img_id': img_id, **known}, 'gt_count')
    else:
        forced = read_class_names(args.classes) if args.classes else None
        truth = truth_of_file(args.labels, forced, given.classes)
    if args.round:
        rounded = np.maximum(np.round(given.scores), 0)
        given = given._replace(scores=rounded)
    metric = CountMetric(
        args.cap,
        max_count=args.max_count,
        baseline=training_means(args, truth[1]),
    )
    return score_table(metric, given, truth, args.counts, 'counts')


if __name__ == '__main__':
    raise SystemExit(main())
