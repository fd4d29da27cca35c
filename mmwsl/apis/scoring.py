"""What the commands that score other programs' results have in common."""

import argparse
import json
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

import torch

from mmwsl.apis.command_line import add_cfg_options
from mmwsl.apis.errors import friendly_errors
from mmwsl.evaluation.files import ClassScores, rows_of_images, write_metrics
from mmwsl.registry import DATASETS
from mmwsl.utils.config import dataset_config, load_config
from mmwsl.utils.files import naming
from mmwsl.utils.prediction import type_name

# What is known of each image, and the names of the classes.
Truth = Tuple[Dict[str, Dict[str, Any]], List[str]]


def add_truth_options(
    parser: argparse.ArgumentParser,
    other: Optional[str] = None,
    text: Optional[str] = None,
) -> None:
    """Add ``--config``, ``--split`` and ``--cfg-options``.

    Args:
        parser: The parser of a command that scores files.
        other: An option that names the truth instead of ``--config``.
        text: Its help.
    """
    group = parser.add_mutually_exclusive_group(required=True)
    if other is not None:
        group.add_argument(other, help=text)
    group.add_argument('--config', help='config whose data set has the truth')
    parser.add_argument(
        '--split', default='test', choices=['train', 'val', 'test']
    )
    add_cfg_options(parser)


def add_table_options(
    parser: argparse.ArgumentParser, what: str, labels: str
) -> None:
    """Add a table of numbers and where its truth is.

    Args:
        parser: The parser of a command that scores a number for each class.
        what: Name of the numbers.
        labels: Help of the option that names the file of the truth.
    """
    parser.add_argument(
        what,
        help=f'.csv with an image and C {what} a line (class names in a '
        f'header, if any), or .npz with ids (n,) and {what} (n, C)',
    )
    add_truth_options(parser, '--labels', labels)
    parser.add_argument(
        '--classes', help='class names: a text file with one a line, or a,b,c'
    )


def run_scoring(
    evaluate: Callable[[argparse.Namespace], Dict[str, Any]],
    parser: argparse.ArgumentParser,
    argv: Optional[Sequence[str]] = None,
) -> int:
    """Print the metrics and, with ``--out``, write them.

    Args:
        evaluate: Computes the metrics as the command line says.
        parser: Of the command line, but for ``--out``.
        argv: The command line.

    Returns:
        The exit code.
    """
    parser.add_argument('--out', help='write the metrics to this .json')
    args = parser.parse_args(argv)
    with friendly_errors():
        metrics = evaluate(args)
        print(json.dumps(metrics))
        if args.out:
            write_metrics(args.out, metrics)
    return 0


def config_dataset(
    config: str,
    split: str,
    cfg_options: Optional[Dict[str, Any]] = None,
    eval_pipeline: Optional[Sequence[Dict[str, Any]]] = None,
) -> Any:
    """Build the data set of a config without its own pipeline.

    Args:
        config (str): Config file.
        split (str): 'train', 'val' or 'test'.
        cfg_options (dict, optional): Dotted keys that override the config.
        eval_pipeline (Sequence[dict], optional): Transforms that follow the
            loading of the image; None for no pipeline at all.

    Returns:
        mmengine.dataset.BaseDataset: In test mode if there is a pipeline.

    Raises:
        FileNotFoundError: If the config does not exist.
        ValueError: If it has no such split.
    """
    cfg = load_config(config, cfg_options)
    settings = dataset_config(cfg, split)
    own = settings.get('pipeline', [])
    settings['pipeline'] = []
    if eval_pipeline is not None:
        loading = [t for t in own if type_name(t) == 'LoadWSLImage']
        settings['pipeline'] = [
            *(loading or [dict(type='LoadWSLImage')]),
            *eval_pipeline,
        ]
        settings['test_mode'] = True
    return DATASETS.build(settings)


def config_truth(args: argparse.Namespace, keys: Sequence[str]) -> Truth:
    """Read fields of the images that ``--config`` and ``--split`` name."""
    dataset = config_dataset(args.config, args.split, args.cfg_options)
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    truth = {x['img_id']: {k: x[k] for k in keys if k in x} for x in infos}
    return truth, list(dataset.metainfo['classes'])


def table_samples(
    given: ClassScores, truth: Truth, path: str, what: str
) -> List[Dict[str, Any]]:
    """Make samples of the numbers of a file, in the order of the truth.

    Args:
        given: What the file holds.
        truth: The fields of all images, and the classes.
        path: The file.
        what: 'scores' or 'counts'.

    Raises:
        ValueError: If classes differ or an image is missing.
    """
    fields, classes = truth
    rows = rows_of_images(given, list(fields), classes, path, what)
    extra = len(given.ids) - len(fields)
    if extra:
        print(f'{extra} images of {path} have no truth and are left out')
    return [
        {
            'img_id': img_id,
            f'pred_{what[:-1]}': torch.from_numpy(row),
            **{key: torch.as_tensor(x) for key, x in fields[img_id].items()},
        }
        for img_id, row in zip(fields, rows)
    ]


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
