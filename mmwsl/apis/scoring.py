"""What the commands that score other programs' results have in common."""

import argparse
import json
from functools import wraps
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Optional,
    Sequence,
    Tuple,
)

from mmwsl.apis.command_line import ToolParser
from mmwsl.evaluation.files import ClassScores, rows_of_images, write_metrics
from mmwsl.registry import DATASETS
from mmwsl.utils.config import base_configs, dataset_config, load_config
from mmwsl.utils.files import naming, read_json
from mmwsl.utils.prediction import type_name

# What is known of each image, and the names of the classes.
Truth = Tuple[Dict[str, Dict[str, Any]], List[str]]
# Computes metrics as a command line says.
Evaluate = Callable[[argparse.Namespace], Dict[str, Any]]


def add_truth_options(
    parser: ToolParser,
    other: Optional[str] = None,
    text: Optional[str] = None,
) -> None:
    """Add ``--config``, ``--split`` and ``--cfg-options``.

    Args:
        parser: Of a command that scores files.
        other: An option that names the truth instead of ``--config``.
        text: Its help.
    """
    group = parser.add_mutually_exclusive_group(required=True)
    if other is not None:
        group.add_argument(other, help=text)
    group.add_argument('--config', help='config whose data set has the truth')
    parser.split('test')
    parser.cfg_options()


def add_table_options(parser: ToolParser, what: str, labels: str) -> None:
    """Add a table of numbers and where its truth is.

    Args:
        parser: Of a command that scores a number for each class.
        what: Name of the numbers.
        labels: Help of the option that names the file of the truth.
    """
    parser.add_argument(
        what,
        help=f'.csv with an image and C {what} a line (class names in a '
        f'header, if any), or .npz with ids (n,) and {what} (n, C)',
    )
    add_truth_options(parser, '--labels', labels)
    text = 'class names: a text file with one a line, or a,b,c'
    parser.option('--classes', None, text)


def scoring_command(
    parser: ToolParser,
) -> Callable[[Evaluate], Callable[..., int]]:
    """Make commands of functions that compute metrics.

    The metrics are printed and, with ``--out``, written.
    """
    parser.option('--out', None, 'write the metrics to this .json')

    def decorate(
        evaluate: Callable[..., Dict[str, Any]],
    ) -> Callable[..., int]:
        @parser.command
        @wraps(evaluate)
        def main(args: argparse.Namespace) -> None:
            metrics = evaluate(args)
            print(json.dumps(metrics))
            if args.out:
                write_metrics(args.out, metrics)

        return main

    return decorate


def config_dataset(
    config: str,
    split: str,
    cfg_options: Optional[Dict[str, Any]] = None,
    keys: Optional[Sequence[str]] = None,
    **loading: Any,
) -> Any:
    """Build the data set of a config without its own pipeline.

    Args:
        config: The config file.
        split: 'train', 'val' or 'test'.
        cfg_options: Options of the command line.
        keys: Fields of ground truth that samples shall have, in test mode;
            without any, entries hold what the data set knows and the image,
            and with None only the former.
        **loading: Those of :func:`load_truth`.
    """
    cfg = load_config(config, cfg_options)
    settings = dataset_config(cfg, split)
    for inner in base_configs(settings):
        own = inner.get('pipeline', [])
        inner['pipeline'] = []
        if keys is not None:
            loaders = [t for t in own if type_name(t) == 'LoadWSLImage']
            loaders = loaders or [dict(type='LoadWSLImage')]
            inner.update(pipeline=loaders, test_mode=True)
    dataset = DATASETS.build(settings)
    if keys:
        load_truth(dataset, keys, **loading)
    return dataset


def load_truth(dataset: Any, keys: Sequence[str], **loading: Any) -> None:
    """Let the samples of a :func:`config_dataset` hold ground truth.

    Args:
        dataset: Built with ``keys=()``, so that its entries have told which
            ground truth there is.
        keys: Fields of ground truth.
        **loading: More arguments of ``LoadEvalAnnotations``.
    """
    # Data sets are slow to import, and most commands do without.
    from mmwsl.datasets import base_datasets
    from mmwsl.datasets.transforms import LoadEvalAnnotations, PackWSLInputs

    load = LoadEvalAnnotations(
        with_seg_map='gt_sem_seg' in keys,
        with_instances='gt_instances' in keys,
        with_loc_mask='gt_loc_mask' in keys,
        **loading,
    )
    pack = PackWSLInputs(eval_keys=tuple(keys))
    for inner in base_datasets(dataset):
        inner.pipeline.transforms += [load, pack]


def config_truth(args: argparse.Namespace, keys: Sequence[str]) -> Truth:
    """Read fields of the images that ``--config`` and ``--split`` name."""
    dataset = config_dataset(args.config, args.split, args.cfg_options)
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    truth = {x['img_id']: {k: x[k] for k in keys if k in x} for x in infos}
    return truth, list(dataset.metainfo['classes'])


def read_results(path: str, **kinds: Any) -> List[Dict[str, Any]]:
    """Read a JSON list of results, such as COCO's.

    Args:
        path: The file.
        **kinds: The types of each key that all results need.
    """
    results = read_json(path, 'list of results')
    if not isinstance(results, list):
        raise ValueError(f'{path}: is no list of results')
    for number, result in enumerate(results):
        known = result if isinstance(result, dict) else {}
        for key, kind in kinds.items():
            if key not in known:
                raise ValueError(f'{path}: result {number} has no {key!r}')
            value = known[key]
            if not isinstance(value, kind) or isinstance(value, bool):
                raise ValueError(
                    f'{path}: result {number} has the {key} {value!r}'
                )
    return results


def score_table(
    metric: Any, given: ClassScores, truth: Truth, path: str, what: str
) -> Dict[str, float]:
    """Give a file's scores or counts to a metric, as the truth lists."""
    fields, classes = truth
    rows = rows_of_images(given, list(fields), classes, path, what)
    extra = len(given.ids) - len(fields)
    if extra:
        print(f'{extra} images of {path} have no truth and are left out')
    samples = [
        {'img_id': img_id, f'pred_{what[:-1]}': row, **fields[img_id]}
        for img_id, row in zip(fields, rows)
    ]
    return score_samples(metric, zip(fields, samples), classes)


def score_samples(
    metric: Any, samples: Iterable[Tuple[str, Any]], classes: Sequence[str]
) -> Dict[str, float]:
    """Give samples to a metric, each with the file that errors name."""
    metric.dataset_meta = {'classes': classes}
    for place, sample in samples:
        with naming(place):
            metric.process(None, [sample])
    found: Dict[str, float] = metric.evaluate(len(metric.results))
    return found
