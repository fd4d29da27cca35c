"""Score object counts of another program.

``python tools/analysis_tools/eval_counts.py COUNTS --labels labels.csv`` or
``... COUNTS --config CONFIG`` prints what CountMetric prints.
"""

import argparse
from typing import Any, Dict, List, Optional, Sequence, Tuple

from mmwsl.apis.scoring import (
    add_classes_option,
    add_truth_options,
    config_dataset,
    run_scoring,
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
from mmwsl.evaluation.metrics.count_metric import mean_counts

import numpy as np
import torch

Counts = Dict[str, np.ndarray]


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Score object counts of another program'
    )
    parser.add_argument(
        'counts',
        help='.csv with an image and C counts a line (class names in a '
        'header, if any), or .npz with ids (n,) and counts (n, C)',
    )
    add_truth_options(
        parser,
        '--labels',
        'true counts: .csv of path,class,count, one class a line, or a file '
        'like COUNTS',
    )
    add_classes_option(parser)
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
    return parser.parse_args(argv)


def truth_of_config(args: argparse.Namespace) -> Tuple[Counts, List[str]]:
    """Counts and class names of a config's dataset."""
    dataset = config_dataset(args.config, args.split, args.cfg_options)
    truth = {}
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        if 'gt_count' in info:
            truth[info['img_id']] = info['gt_count']
        else:
            # The metric says what is missing.
            CountMetric().process(
                None,
                [{'img_id': info['img_id'], 'pred_count': torch.zeros(1)}],
            )
    return truth, list(dataset.metainfo['classes'])


def is_list_of_labels(path: str) -> bool:
    """Whether a file has lines path,class,count."""
    rows = [x for _, x in read_label_file(path, 'label file').lines]
    return any(
        len(cells) == 3 and not is_number(cells[1]) and is_number(cells[2])
        for cells in rows
    )


def truth_of_list(
    path: str, forced: Optional[List[str]], known: Optional[List[str]]
) -> Tuple[Counts, List[str]]:
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
    unknown = [name for name in names if name not in classes]
    if unknown:
        raise ValueError(
            f'{path}: class {unknown[0]!r} is not in the list of classes'
        )
    truth = {
        img_id: np.array([counts.get(name, 0) for name in classes])
        for img_id, counts in found.items()
    }
    return truth, classes


def truth_of_table(
    path: str, forced: Optional[List[str]], known: Optional[List[str]]
) -> Tuple[Counts, List[str]]:
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
    return dict(zip(table.ids, rows)), classes


def truth_of_file(
    path: str, forced: Optional[List[str]], known: Optional[List[str]] = None
) -> Tuple[Counts, List[str]]:
    """Counts of each image and class names of any file of counts.

    Args:
        path: The file.
        forced: The classes, in any case.
        known: Those of the predictions, where the file does not order them.
    """
    if path.endswith('.csv') and is_list_of_labels(path):
        return truth_of_list(path, forced, known)
    return truth_of_table(path, forced, known)


def training_means(
    args: argparse.Namespace, classes: List[str]
) -> Optional[np.ndarray]:
    """Mean counts of the classes in training, if a file or a config says."""
    if args.baseline:
        counts, _ = truth_of_file(args.baseline, classes)
        if not counts:
            raise ValueError(f'{args.baseline}: holds no counts')
        return np.mean(list(counts.values()), axis=0)
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
        truth, classes = truth_of_config(args)
    else:
        forced = read_class_names(args.classes) if args.classes else None
        truth, classes = truth_of_file(args.labels, forced, given.classes)
    counts = rows_of_images(given, list(truth), classes, args.counts, 'counts')
    if args.round:
        counts = np.maximum(np.round(counts), 0)
    extra = len(given.ids) - len(truth)
    if extra:
        print(f'{extra} images of {args.counts} have no true counts')
    metric = CountMetric(
        args.cap,
        max_count=args.max_count,
        baseline=training_means(args, classes),
    )
    metric.dataset_meta = {'classes': classes}
    samples: List[Dict[str, Any]] = [
        {
            'img_id': img_id,
            'pred_count': torch.from_numpy(row),
            'gt_count': torch.as_tensor(truth[img_id]),
        }
        for img_id, row in zip(truth, counts)
    ]
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Print the metrics and, with --out, write them."""
    return run_scoring(evaluate, parse_args(argv))


if __name__ == '__main__':
    raise SystemExit(main())
