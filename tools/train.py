"""Train a model: ``python tools/train.py CONFIG``."""

import argparse

from mmwsl.apis import (
    build_runner,
    keep_freed_memory,
    mend_last_checkpoint,
    read_config,
    runner_parser,
)
from mmwsl.engine.amp import has_bfloat16
from mmwsl.engine.hooks import LastValidationHook

import torch
from mmengine.config import Config

parser = runner_parser('Train a model')
parser.option(
    '--resume',
    None,
    'go on from this checkpoint, or without a value from the latest one in '
    'the work folder',
    nargs='?',
    const='auto',
)
parser.option(
    '--amp',
    False,
    'train with automatic mixed precision: on an accelerator, or in bfloat16 '
    'on a CPU that computes with it',
)
parser.option(
    '--auto-scale-lr',
    False,
    "scale the learning rate with the batch size, as the config's "
    '"auto_scale_lr.base_batch_size" says',
)


def build_config(args: argparse.Namespace) -> Config:
    """Read the config and apply the command line to it."""
    cfg = read_config(args)
    if args.amp and torch.cuda.is_available():
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.loss_scale = 'dynamic'
    elif args.amp:
        if not has_bfloat16():
            raise ValueError(
                '--amp needs an accelerator or a CPU with bfloat16, and there '
                'is neither; leave it out to train in single precision.'
            )
        cfg.optim_wrapper.type = 'mmwsl.CPUAmpOptimWrapper'
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ValueError(
                f'--auto-scale-lr: {args.config} has no '
                '"auto_scale_lr.base_batch_size".'
            )
        cfg.auto_scale_lr.enable = True
    if args.resume == 'auto':
        # A run that has not got to a checkpoint begins with load_from.
        cfg.resume = mend_last_checkpoint(cfg.work_dir)
        if cfg.resume:
            cfg.load_from = None
    elif args.resume is not None:
        cfg.resume = True
        cfg.load_from = args.resume
    return cfg


@parser.command
def main(args: argparse.Namespace) -> None:
    """Train as the command line says."""
    cfg = build_config(args)
    keep_freed_memory()
    runner = build_runner(cfg)
    if cfg.resume:
        runner.register_hook(LastValidationHook())
    runner.train()


if __name__ == '__main__':
    raise SystemExit(main())
