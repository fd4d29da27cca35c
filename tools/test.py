"""Test a model: ``python tools/test.py CONFIG CHECKPOINT``."""

import argparse
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

from mmwsl.apis import (
    build_runner,
    friendly_errors,
    keep_freed_memory,
    parse_runner_args,
    read_config,
    runner_parser,
)
from mmwsl.apis.command_line import add_export_options

from mmengine.config import Config


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = runner_parser('Test a model')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out',
        help='pickle file (.pkl) of scores, labels, counts, instances and '
        'label maps, masks as run lengths',
    )
    parser.add_argument(
        '--out-maps',
        action='store_true',
        help='let --out hold samples with everything, maps and truth too, '
        'which takes megabytes an image',
    )
    add_export_options(parser)
    parser.add_argument(
        '--show', action='store_true', help='show pictures in a window'
    )
    parser.add_argument(
        '--show-dir', help='folder for a picture of every image'
    )
    parser.add_argument(
        '--wait-time',
        type=float,
        default=2,
        help='seconds that --show waits at each picture',
    )
    return parse_runner_args(parser, argv)


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


def dump_predictions(cfg: Config, out: str, maps: bool = False) -> None:
    """Add a pickle of all predictions, maps too or not, to the metrics."""
    if Path(out).suffix not in ('.pkl', '.pickle'):
        raise ValueError(f'--out must end in .pkl, got {out}.')
    if maps:
        add_metric(cfg, dict(type='DumpResults', out_file_path=out))
    else:
        add_metric(cfg, dict(type='mmwsl.PredictionDump', out_file=out))


def add_metric(cfg: Config, metric: Dict[str, Any]) -> None:
    """Put a metric behind those of the config."""
    evaluator = cfg.test_evaluator
    if isinstance(evaluator, (list, tuple)):
        cfg.test_evaluator = [*evaluator, metric]
    else:
        cfg.test_evaluator = [evaluator, metric]


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
    if args.out is not None:
        dump_predictions(cfg, args.out, args.out_maps)
    elif args.out_maps:
        raise ValueError('--out-maps needs --out FILE.')
    if args.export:
        metric = dict(type='mmwsl.LabelExportMetric', min_area=args.min_area)
        add_metric(cfg, dict(metric, export=args.export))
    return cfg


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Test as the command line says."""
    args = parse_args(argv)
    with friendly_errors():
        keep_freed_memory()
        runner = build_runner(build_config(args))
        folder = Path(args.checkpoint).parent
        best = sorted(path.name for path in folder.glob('best_*.pth'))
        runner.logger.info(
            f'Testing {args.checkpoint}; the best of its run: '
            f'{", ".join(best) or "not known"}'
        )
        runner.test()
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
