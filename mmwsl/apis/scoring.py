"""What the commands that score other programs' results have in common."""

import argparse
import json
from typing import Any, Callable, Dict, Optional, Sequence

from mmwsl.apis.command_line import add_cfg_options
from mmwsl.apis.errors import friendly_errors
from mmwsl.evaluation.files import write_metrics
from mmwsl.registry import DATASETS
from mmwsl.utils.config import dataset_config, load_config


def add_truth_options(
    parser: argparse.ArgumentParser,
    other: Optional[str] = None,
    text: Optional[str] = None,
) -> None:
    """Add ``--config``, ``--split``, ``--cfg-options`` and ``--out``.

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
    parser.add_argument('--out', help='write the metrics to this .json')
    add_cfg_options(parser)


def add_classes_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--classes``, where no config says them."""
    parser.add_argument(
        '--classes', help='class names: a text file with one a line, or a,b,c'
    )


def run_scoring(
    evaluate: Callable[[argparse.Namespace], Dict[str, float]],
    args: argparse.Namespace,
) -> int:
    """Print the metrics and, with ``--out``, write them.

    Args:
        evaluate: Computes the metrics as the command line says.
        args: The command line, with ``out``.

    Returns:
        The exit code.
    """
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
        loading = [t for t in own if t['type'] == 'LoadWSLImage']
        settings['pipeline'] = [
            *(loading or [dict(type='LoadWSLImage')]),
            *eval_pipeline,
        ]
        settings['test_mode'] = True
    return DATASETS.build(settings)
