"""Add the background to the classes of mmseg's metrics."""

from typing import Sequence

from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmwsl.registry import HOOKS


@HOOKS.register_module()
class BackgroundClassHook(Hook):
    """Tell mmseg's metrics that 0 in label maps is the background.

    The class lists of the datasets here name the foreground only, as the
    other metrics and those of mmdet want them, while label maps hold 0 for
    background and c + 1 for class c. ``mmseg.IoUMetric`` takes the values
    of label maps from the class list and would leave out the last class
    without a word. With this hook, which is part of the default runtime, it
    sees the list with the background put first.

    Args:
        packages: Import names of the packages whose metrics count the
            background as a class.
        name: Name of the background class.
        color: RGB of it, where the dataset has a palette.
    """

    def __init__(
        self,
        packages: Sequence[str] = ('mmseg',),
        name: str = 'background',
        color: Sequence[int] = (0, 0, 0),
    ) -> None:
        self.packages = tuple(packages)
        self.name = name
        self.color = list(color)

    def before_val(self, runner: Runner) -> None:
        """Show the list to the metrics of the validation."""
        self._show(runner.val_evaluator)

    def before_test(self, runner: Runner) -> None:
        """Show the list to the metrics of the test."""
        self._show(runner.test_evaluator)

    def _show(self, evaluator: Evaluator) -> None:
        for metric in evaluator.metrics:
            if type(metric).__module__.split('.')[0] in self.packages:
                meta = dict(evaluator.dataset_meta or {})
                meta['classes'] = (self.name, *meta.get('classes', ()))
                if meta.get('palette'):
                    meta['palette'] = [self.color, *meta['palette']]
                metric.dataset_meta = meta
