"""What the train and the test command have in common."""

import argparse
import os
from pathlib import Path
from typing import Any, Optional, Sequence

from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmwsl.apis.config import check_config, load_config
from mmwsl.apis.distributed import setup_cpu_distributed
from mmwsl.engine.hooks.run_check_hook import RunCheckHook, check_batches


class _Options(DictAction):
    """KEY=VALUE options, with an error for what is something else."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: Optional[str] = None,
    ) -> None:
        for text in values:
            try:
                super().__call__(parser, namespace, [text], option_string)
            except (ValueError, AssertionError):
                parser.error(f'{option_string}: {text!r} is no KEY=VALUE')


def add_cfg_options(
    parser: argparse.ArgumentParser,
    text: str = 'override the config: key=value, nested keys with dots, lists '
    'as key="[a,b]"',
) -> None:
    """Add ``--cfg-options``.

    Args:
        parser: The parser of a command.
        text: Its help.
    """
    parser.add_argument('--cfg-options', nargs='+', action=_Options, help=text)


def runner_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with mmengine's usual options.

    Args:
        description: One line for ``--help``.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir',
        help='folder of logs, metrics and checkpoints; by default the '
        'config\'s "work_dir", or work_dirs/NAME_OF_THE_CONFIG',
    )
    add_cfg_options(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes of a distributed run were started',
    )
    # torch.distributed.launch passes this one to every process.
    parser.add_argument(
        '--local_rank',
        '--local-rank',
        type=int,
        default=0,
        help=argparse.SUPPRESS,
    )
    return parser


def parse_runner_args(
    parser: argparse.ArgumentParser, argv: Optional[Sequence[str]]
) -> argparse.Namespace:
    """Parse and leave the local rank where mmengine looks for it."""
    args = parser.parse_args(argv)
    if args.launcher in ('none', 'pytorch'):
        # The others name the rank in variables of their own.
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def read_config(args: argparse.Namespace) -> Config:
    """Read the config and apply the options of :func:`runner_parser`."""
    cfg = load_config(args.config, args.cfg_options)
    check_config(cfg, 'model')
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = f'work_dirs/{Path(args.config).stem}'
    return cfg


def build_runner(cfg: Config) -> Runner:
    """Build the config's runner, distributed or not, on any device."""
    setup_cpu_distributed(cfg)
    _set_baselines(cfg)
    if 'runner_type' in cfg:
        runner = RUNNERS.build(cfg)
    else:
        runner = Runner.from_cfg(cfg)
    if not any(isinstance(hook, RunCheckHook) for hook in runner.hooks):
        runner.register_hook(RunCheckHook())
    build = runner.build_train_loop

    def build_checked(loop: Any) -> Any:
        loop = build(loop)
        # Before schedules ask for the length of an epoch.
        check_batches(loop.dataloader)
        return loop

    vars(runner).update(build_train_loop=build_checked)
    return runner


def _set_baselines(cfg: Config) -> None:
    """Let metrics of counts compare with the means of the training set."""
    for key in ('val_evaluator', 'test_evaluator'):
        metrics = cfg.get(key) or []
        for metric in metrics if isinstance(metrics, list) else [metrics]:
            kind = str(metric.get('type')).rpartition('.')[2]
            if kind == 'CountMetric' and cfg.get('train_dataloader'):
                metric.setdefault('baseline', cfg.train_dataloader.dataset)
