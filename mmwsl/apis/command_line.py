"""Commands that run a config: their options, and their runner."""

import argparse
import ctypes
import datetime
import logging
import os
import sys
import time
from functools import wraps
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    Optional,
    Sequence,
    Sized,
    Union,
)

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger, print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from mmengine.utils import ProgressBar

from mmwsl.apis.errors import friendly_errors
from mmwsl.engine.hooks.run_check_hook import RunCheckHook, check_batches
from mmwsl.evaluation.exporting import FORMATS, MIN_AREA
from mmwsl.utils.checkpoints import is_whole
from mmwsl.utils.config import (
    check_config,
    fill_from_data,
    load_config,
    read_value,
)
from mmwsl.utils.files import write_whole

# Where launchers leave what torch's ``env://`` start wants to read.
_LAUNCHER_VARIABLES: Dict[str, Dict[str, str]] = {
    'pytorch': {},
    'mpi': {
        'RANK': 'OMPI_COMM_WORLD_RANK',
        'LOCAL_RANK': 'OMPI_COMM_WORLD_LOCAL_RANK',
        'WORLD_SIZE': 'OMPI_COMM_WORLD_SIZE',
    },
    'slurm': {
        'RANK': 'SLURM_PROCID',
        'LOCAL_RANK': 'SLURM_LOCALID',
        'WORLD_SIZE': 'SLURM_NTASKS',
    },
}
# How mmengine's messages begin that a console leaves out: what they say is in
# the log file, and the config beside it.
_AT_LENGTH = (
    f'\n{"-" * 60}\nSystem environment',
    'Config:\n',
    'Hooks will be executed in',
    'Distributed training is not used, all SyncBatchNorm',
    'paramwise_options -- ',
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
)
# Of every frozen parameter.
_FROZEN = 'is skipped since its requires_grad=False'
# Seconds between lines that say how far a loop is.
_PAUSE = 30
# Parameters of glibc's mallopt (malloc.h).
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


class ToolParser(argparse.ArgumentParser):
    """The command line of a tool: its help shows defaults.

    Args:
        description: What the command does; its first line is shown.
        stopped: What to say after Ctrl-C.
        **kwargs: Arguments of argparse's parser.

    Example:
        >>> parser = ToolParser('Count the images of a folder')
        >>> parser.add_argument('folder', help='where they are')
        >>> parser.option('--most', 9, 'how many to count')
        >>> @parser.command
        ... def main(args):
        ...     print(min(args.most, len(os.listdir(args.folder))))
        >>> main(['.'])
    """

    def __init__(
        self,
        description: Optional[str] = None,
        stopped: str = 'stopped',
        **kwargs: Any,
    ) -> None:
        first = (description or '').split('\n')[0]
        kwargs.setdefault('formatter_class', _Help)
        super().__init__(description=first, **kwargs)
        self.stopped = stopped

    def option(
        self,
        name: str,
        default: Any,
        text: Optional[str] = None,
        **settings: Any,
    ) -> None:
        """Add an option, whose default says what it takes.

        Args:
            name: With its dashes.
            default: A text or a number; None is a text that may be missing,
                False a flag, a list one value or more, and a tuple as many
                as it has.
            text: Its help.
            **settings: Arguments of ``add_argument``.
        """
        if default is False:
            settings['action'] = 'store_true'
        elif default is not None:
            several = isinstance(default, (list, tuple))
            first = default[0] if several and default else default
            if not isinstance(first, (str, list, tuple)):
                settings.setdefault('type', type(first))
            if several:
                number = '+' if isinstance(default, list) else len(default)
                settings.setdefault('nargs', number)
        self.add_argument(name, default=default, help=text, **settings)

    def split(self, default: str, text: Optional[str] = None) -> None:
        """Add ``--split``, which set of a config to take."""
        choices = ['train', 'val', 'test']
        self.option('--split', default, text, choices=choices)

    def cfg_options(
        self,
        text: str = 'override the config: key=value, nested keys with dots, '
        'lists as key="[a,b]"',
    ) -> None:
        """Add ``--cfg-options``."""
        self.option('--cfg-options', None, text, nargs='+', action=_Options)

    def command(
        self, run: Callable[[argparse.Namespace], Optional[int]]
    ) -> Callable[..., int]:
        """Make a command of a function: errors become one line.

        Args:
            run: Takes the parsed command line; returns an exit code, or None
                for 0.

        Returns:
            The command, which takes the command line as a list, by default
            that of the process, and returns the exit code.
        """

        @wraps(run)
        def main(argv: Optional[Sequence[str]] = None) -> int:
            args = self.parse_args(argv)
            code = None
            with friendly_errors(self.stopped):
                code = run(args)
            return code or 0

        return main


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults that say something, also where there is no help."""

    def add_argument(self, action: argparse.Action) -> None:
        if action.help is None and self._says(action.default):
            action.help = 'default: %(default)s'
        super().add_argument(action)

    def _get_help_string(self, action: argparse.Action) -> Optional[str]:
        if self._says(action.default):
            return super()._get_help_string(action)
        return action.help

    @staticmethod
    def _says(default: Any) -> bool:
        return not (isinstance(default, bool) or default in (None, '', []))


class _Options(argparse.Action):
    """KEY=VALUE options, with an error for what is something else."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: Optional[str] = None,
    ) -> None:
        options = dict(getattr(namespace, self.dest) or {})
        for text in values:
            try:
                key, value = text.split('=', 1)
                options[key] = read_value(value)
            except ValueError:
                parser.error(f'{option_string}: {text!r} is no KEY=VALUE')
        setattr(namespace, self.dest, options)


def add_export_options(parser: ToolParser) -> None:
    """Add ``--export`` and ``--min-area``."""
    parser.option(
        '--export',
        [],
        'write the predictions for other tools to a new folder, as '
        f'{", ".join(FORMATS)}; may be repeated',
        nargs=2,
        action='append',
        metavar=('FORMAT', 'DIR'),
    )
    add_min_area(parser)


def add_min_area(parser: ToolParser) -> None:
    """Add ``--min-area`` of exports."""
    parser.option(
        '--min-area',
        MIN_AREA,
        'leave smaller objects out of exports: in pixels, or below 1 as a '
        'share of the image',
        metavar='AREA',
    )


def runner_parser(description: str) -> ToolParser:
    """Return a parser with mmengine's usual options."""
    parser = ToolParser(description)
    parser.add_argument('config', help='config file')
    parser.option(
        '--work-dir',
        None,
        "folder of logs, metrics and checkpoints; by default the config's "
        '"work_dir", or work_dirs/NAME_OF_THE_CONFIG',
    )
    parser.cfg_options()
    parser.option(
        '--launcher',
        'none',
        'how the processes of a distributed run were started',
        choices=['none', *_LAUNCHER_VARIABLES],
    )
    # torch.distributed.launch passes this one to every process.
    names = ('--local_rank', '--local-rank')
    parser.add_argument(*names, type=int, default=0, help=argparse.SUPPRESS)
    return parser


def read_config(args: argparse.Namespace) -> Config:
    """Read the config and apply the options of :func:`runner_parser`."""
    if args.launcher in ('none', 'pytorch'):
        # mmengine looks there; the others name the rank in their own.
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
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
    # Slow to import, and most commands do without.
    from mmwsl.models import fill_from_backbone

    setup_cpu_distributed(cfg)
    for key, value in fill_from_data(cfg).items():
        print_log(f'found in the data: {key} = {value}', 'current')
    fill_from_backbone(cfg)
    _set_baselines(cfg)
    if 'runner_type' in cfg:
        runner = RUNNERS.build(cfg)
    else:
        runner = _ShortRunner.from_cfg(cfg)
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


class _ShortRunner(Runner):
    """A runner that says at length only in its log file what it runs in."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            # Those of files are of a class derived from it.
            if type(handler) is logging.StreamHandler:
                handler.addFilter(_is_short)
        return logger

    def _log_env(self, env_cfg: Dict[str, Any]) -> None:
        super()._log_env(env_cfg)
        self.logger.info(
            f'{self.experiment_name} on {get_device()}, seed {self.seed}; '
            f'config, environment and hooks are in {self.logger.log_file}'
        )


def _is_short(record: logging.LogRecord) -> bool:
    text = record.getMessage()
    return not (text.startswith(_AT_LENGTH) or text.endswith(_FROZEN))


def _set_baselines(cfg: Config) -> None:
    """Let metrics of counts compare with the means of the training set."""
    for key in ('val_evaluator', 'test_evaluator'):
        metrics = cfg.get(key) or []
        for metric in metrics if isinstance(metrics, list) else [metrics]:
            kind = str(metric.get('type')).rpartition('.')[2]
            if kind == 'CountMetric' and cfg.get('train_dataloader'):
                metric.setdefault('baseline', cfg.train_dataloader.dataset)


def setup_cpu_distributed(cfg: Config) -> None:
    """Start gloo where mmengine's launcher would look for a GPU.

    mmengine 0.10 selects a CUDA device in every launcher and hands device
    ids to its model wrapper. On a machine without an accelerator this
    function starts the process group itself, which mmengine then leaves
    alone, and fills in ``model_wrapper_cfg``, a wrapper without devices.
    """
    launcher = cfg.get('launcher', 'none')
    if launcher == 'none' or get_device() != 'cpu':
        return
    for name, source in _LAUNCHER_VARIABLES[launcher].items():
        if source in os.environ:
            os.environ[name] = os.environ[source]
    os.environ.setdefault('MASTER_PORT', '29500')
    missing = [n for n in ('RANK', 'WORLD_SIZE') if n not in os.environ]
    if os.environ.get('SLURM_NNODES', '1') != '1':
        missing += [n for n in ('MASTER_ADDR',) if n not in os.environ]
    os.environ.setdefault('MASTER_ADDR', '127.0.0.1')
    if missing:
        raise ValueError(
            f"launcher '{launcher}' needs the environment variables "
            f'{missing}: start the run with tools/dist_train.sh or torchrun.'
        )
    if not dist.is_initialized():
        timeout = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout')
        dist.init_process_group(
            'gloo', timeout=datetime.timedelta(seconds=timeout or 1800)
        )
    if 'OMP_NUM_THREADS' not in os.environ:
        # Every process would otherwise use all cores.
        local = os.environ.get('LOCAL_WORLD_SIZE', os.environ['WORLD_SIZE'])
        torch.set_num_threads(max(1, torch.get_num_threads() // int(local)))
    cfg.model_wrapper_cfg = {
        'type': 'MMDistributedDataParallel',
        'device_ids': None,
        'broadcast_buffers': False,
        'find_unused_parameters': cfg.get('find_unused_parameters', False),
        **(cfg.get('model_wrapper_cfg') or {}),
    }


def keep_freed_memory() -> bool:
    """Let the process reuse freed memory instead of giving it back.

    glibc takes large tensors from the kernel and returns them in every step;
    keeping them saves a tenth and more of a training step on the CPU, for a
    peak memory that is up to a tenth higher. With an accelerator and outside
    glibc it does nothing; returns whether it has done so.
    """
    if get_device() != 'cpu' or not sys.platform.startswith('linux'):
        return False
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is None:
        return False
    # Never map a block of its own, never shrink the heap. The second alone
    # would switch off glibc's growing threshold and make matters worse.
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, -1))


def mend_last_checkpoint(work_dir: Union[str, Path]) -> bool:
    """Mend the file that names the checkpoint to resume from.

    A run that is killed may leave mmengine's ``last_checkpoint`` without a
    name, or with that of a checkpoint that is removed or cut off. The file
    will name the newest one that is whole; without any it is removed.
    Returns whether there is a checkpoint to resume from.
    """
    path = Path(work_dir, 'last_checkpoint')
    if not path.is_file():
        return False
    named = path.read_text(errors='replace').strip()
    if is_whole(named):
        return True
    found = [*Path(work_dir).glob('epoch_*.pth')]
    found += Path(work_dir).glob('iter_*.pth')
    found.sort(key=lambda file: (file.stat().st_mtime_ns, str(file)))
    whole = next(filter(is_whole, reversed(found)), None)
    print_log(
        f'{path} names {named or "no file"}, which is not there or not '
        f'whole; going on from {whole or "the beginning"}.',
        'current',
        logging.WARNING,
    )
    if whole is None:
        path.unlink()
        return False
    write_whole(str(path), str(whole).encode())
    return True


def with_progress(
    items: Iterable[Any], number: Optional[int] = None
) -> Iterator[Any]:
    """Pass items on, and show how many and how long it will still take.

    Where errors go to a terminal there is a bar, and in a file a line from
    time to time. ``number`` is that of items that have no length.
    """
    number = len(items) if isinstance(items, Sized) else number or 0
    bar = None
    if sys.stderr.isatty():
        bar = ProgressBar(number, file=sys.stderr)
    start = said = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if bar is not None:
            bar.update()
        elif now - said >= _PAUSE and done < number:
            said = now
            left = round((now - start) * (number - done) / done)
            sys.stderr.write(
                f'{done} of {number} ({done / number:.0%}), '
                f'ETA {datetime.timedelta(seconds=left)}\n'
            )
            sys.stderr.flush()
    if bar is not None:
        sys.stderr.write('\n')
