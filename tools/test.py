"""Test a model: ``python tools/test.py CONFIG CHECKPOINT``."""

import argparse
from pathlib import Path
from typing import Any, Dict, List

from mmwsl.apis import (
    build_runner,
    keep_freed_memory,
    read_config,
    runner_parser,
)
from mmwsl.apis.command_line import add_export_options

from mmengine.config import Config

parser = runner_parser('Test a model')
parser.add_argument('checkpoint', help='checkpoint file')
parser.option(
    '--out',
    None,
    'pickle file (.pkl) of scores, labels, counts, instances and label maps, '
    'masks as run lengths',
)
parser.option(
    '--out-maps',
    False,
    'let --out hold samples with everything, maps and truth too, which takes '
    'megabytes an image',
)
add_export_options(parser)
parser.option('--show', False, 'show pictures in a window')
parser.option('--show-dir', None, 'folder for a picture of every image')
parser.option('--wait-time', 2.0, 'seconds that --show waits at each picture')


def draw_pictures(cfg: Config, args: argparse.Namespace) -> None:
    """Switch the config's visualization hook on."""
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise ValueError(
            f'{args.config}: --show and --show-dir need '
            '"default_hooks.visualization", '
            "dict(type='WSLVisualizationHook')."
        )
    hook.draw = True
    if args.show:
        hook.show = True
        hook.wait_time = args.wait_time
    if args.show_dir:
        hook.out_dir = args.show_dir


def output_metrics(args: argparse.Namespace) -> List[Dict[str, Any]]:
    """Return the metrics that write what ``--out`` and ``--export`` ask."""
    metrics = []
    if args.out is None and args.out_maps:
        raise ValueError('--out-maps needs --out FILE.')
    if args.out is not None:
        if Path(args.out).suffix not in ('.pkl', '.pickle'):
            raise ValueError(f'--out must end in .pkl, got {args.out}.')
        dump = dict(type='mmwsl.PredictionDump', out_file=args.out)
        if args.out_maps:
            dump = dict(type='DumpResults', out_file_path=args.out)
        metrics.append(dump)
    if args.export:
        metric = dict(type='mmwsl.LabelExportMetric', min_area=args.min_area)
        metrics.append(dict(metric, export=args.export))
    return metrics


def build_config(args: argparse.Namespace) -> Config:
    """Read the config and apply the command line to it."""
    cfg = read_config(args)
    if '://' not in args.checkpoint and not Path(args.checkpoint).is_file():
        raise FileNotFoundError(
            f'{args.checkpoint}: there is no such checkpoint.'
        )
    cfg.load_from = args.checkpoint
    cfg.resume = False
    if args.show or args.show_dir:
        draw_pictures(cfg, args)
    found = cfg.test_evaluator
    several = isinstance(found, (list, tuple))
    metrics = output_metrics(args)
    if metrics:
        cfg.test_evaluator = [*(found if several else [found]), *metrics]
    return cfg


@parser.command
def main(args: argparse.Namespace) -> None:
    """Test as the command line says."""
    keep_freed_memory()
    runner = build_runner(build_config(args))
    folder = Path(args.checkpoint).parent
    best = sorted(path.name for path in folder.glob('best_*.pth'))
    runner.logger.info(
        f'Testing {args.checkpoint}; the best of its run: '
        f'{", ".join(best) or "not known"}'
    )
    runner.test()


if __name__ == '__main__':
    raise SystemExit(main())
