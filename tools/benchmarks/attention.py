"""Measure the share of the training step that accumulating attention takes.

``python tools/benchmarks/attention.py`` trains the classifier of a config on
toy pictures of its input size and compares, in one process, the time spent in
``AttentionAccumulationHook`` with that of the steps it belongs to. No weights
and no data are needed. It checks that every picture was accumulated.
"""

import argparse
import tempfile
import time
from typing import Any

from mmwsl.apis import ToolParser
from mmwsl.engine.hooks import AttentionAccumulationHook
from mmwsl.registry import HOOKS

from mmengine import Config
from mmengine.runner import Runner

CONFIG = 'configs/nsrom/cls_mobilenet-v2_voc12-2007.py'
NUM_CLASSES = 6

parser = ToolParser(__doc__)
parser.option('--config', CONFIG)
parser.option('--steps', 10, 'of an epoch')
parser.option('--size', 256, 'in pixels')


@HOOKS.register_module()
class TimedAttentionHook(AttentionAccumulationHook):
    """Adds up the seconds of the hook and of whole epochs with it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.own = self.whole = self._start = 0.0

    def before_train_epoch(self, runner: Runner) -> None:
        """Start anew, so that the last epoch is what counts."""
        self.own, self._start = 0.0, time.perf_counter()

    def after_train_iter(self, *args: Any, **kwargs: Any) -> None:
        """Take the time of one step's maps."""
        start = time.perf_counter()
        super().after_train_iter(*args, **kwargs)
        self.own += time.perf_counter() - start

    def after_train_epoch(self, runner: Runner) -> None:
        """Take the time of the epoch."""
        start = time.perf_counter()
        super().after_train_epoch(runner)
        end = time.perf_counter()
        self.own += end - start
        self.whole = end - self._start


def make_config(args: argparse.Namespace, work_dir: str) -> Config:
    """Let the config's model train on toy pictures for two epochs."""
    cfg = Config.fromfile(args.config)
    cfg.model.backbone.pop('init_cfg', None)
    cfg.model.head.num_classes = NUM_CLASSES
    cfg.train_dataloader.update(
        num_workers=0,
        persistent_workers=False,
        dataset=dict(
            type='ToyDataset',
            num_images=args.steps * cfg.train_dataloader.batch_size,
            image_size=args.size,
            num_classes=NUM_CLASSES,
            pipeline=[dict(type='PackWSLInputs')],
        ),
    )
    for part in ('val', 'test'):
        for name in ('dataloader', 'evaluator', 'cfg'):
            cfg.pop(f'{part}_{name}', None)
    cfg.train_cfg = dict(by_epoch=True, max_epochs=2)
    cfg.custom_hooks = [dict(type='TimedAttentionHook')]
    cfg.default_hooks.pop('visualization', None)
    cfg.work_dir = work_dir
    cfg.log_level = 'ERROR'
    return cfg


@parser.command
def main(args: argparse.Namespace) -> int:
    """Run the comparison and print the share."""
    with tempfile.TemporaryDirectory() as work_dir:
        runner = Runner.from_cfg(make_config(args, work_dir))
        runner.train()
    (hook,) = (h for h in runner.hooks if isinstance(h, TimedAttentionHook))
    found = len(hook.attention)
    if found != len(runner.train_dataloader.dataset):
        print(f'attention of {found} pictures only')
        return 1
    step, own = hook.whole / args.steps, hook.own / args.steps
    print(f'training step: {1000 * step:.1f} ms')
    print(f'attention in it: {1000 * own:.2f} ms, {own / step:.2%}')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
