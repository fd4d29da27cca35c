"""Score object counts of another program.

``python tools/analysis_tools/eval_counts.py COUNTS --labels labels.csv`` or
``... COUNTS --config CONFIG`` prints what CountMetric prints.
"""

import argparse
from typing import Dict, List, Optional, Sequence

from mmwsl.apis import ToolParser
from mmwsl.apis.scoring import (
    Truth,
    add_table_options,
    config_dataset,
    config_truth,
    run_scoring,
    score_samples,
    table_samples,
)
from mmwsl.datasets.label_lists import is_number, read_label_file
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

Names = Optional[List[str]]


def truth_of_list(path: str, forced: Names, known: Names) -> Truth:
    """Counts and class names of a file of path,class,count."""
    found: Dict[str, Dict[str, float]] = {}
    for number, cells in read_label_file(path, 'label file').lines:
        place = f'{path}: line {number}'
        if any(cells[1:]) and len(cells) != 3:
            raise ValueError(f'{place}: expected path,class,count')
        if number == 1 and not is_number(cells[-1]) and any(cells[1:]):
            continue  # a header of another name
        counts = found.setdefault(without_suffix(cells[0]), {})
        if not any(cells[1:]):
            continue  # an image of nothing
        if not is_number(cells[2]) or not is_count(np.array(float(cells[2]))):
            raise ValueError(f'{place}: {cells[2]!r} is no count')
        if cells[1] in counts:
            raise ValueError(f'{place}: {cells[0]} has {cells[1]!r} before')
        counts[cells[1]] = float(cells[2])
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


def evaluate(args: argparse.Namespace) -> Dict[str, float]:
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
    samples = table_samples(given, truth, args.counts, 'counts')
    classes = truth[1]
    metric = CountMetric(
        args.cap,
        max_count=args.max_count,
        baseline=training_means(args, classes),
    )
    return score_samples(metric, [(x['img_id'], x) for x in samples], classes)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Print the metrics and, with --out, write them."""
    parser = ToolParser(__doc__)
    add_table_options(
        parser,
        'counts',
        'true counts: .csv of path,class,count, one class a line, or a file '
        'like COUNTS',
    )
    parser.add_argument(
        '--round',
        action='store_true',
        help='round the counts to whole numbers, and negative ones to 0',
    )
    parser.add_argument(
        '--cap',
        type=int,
        help='highest count that the capped predictor knows, by default one '
        'more than --max-count',
    )
    parser.add_argument(
        '--max-count',
        type=int,
        default=4,
        help='largest count that training knows as such',
    )
    parser.add_argument(
        '--baseline',
        help='counts in training, a file like --labels, whose means are '
        'another predictor; by default those of the config, if it has any',
    )
    return run_scoring(evaluate, parser, argv)


if __name__ == '__main__':
    raise SystemExit(main())
