"""Tell heads and losses the epoch."""

from typing import Any, List, Optional

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmwsl.registry import HOOKS


@HOOKS.register_module()
class HeadEpochHook(Hook):
    """Tells the model the epoch, for losses that change with it.

    Before an iteration that begins an epoch, and the first one of a run,
    ``set_epoch(epoch)`` of the head, of auxiliary losses and of all other
    modules of the model that have it is called. The epoch is that of the
    run's iterations, so it is right after ``--resume`` and in loops that
    count iterations alone.

    Raises:
        TypeError: If no module has ``set_epoch``.
    """

    def __init__(self) -> None:
        self._epoch: Optional[int] = None

    def before_train(self, runner: Runner) -> None:
        """Check the model."""
        self._epoch = None
        if not _parts(runner):
            raise TypeError(
                'HeadEpochHook in custom_hooks needs a head or a loss with '
                f'set_epoch, and {type(runner.model).__name__} has none.'
            )

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Tell the modules the epoch if it is a new one."""
        epoch = runner.iter // len(runner.train_dataloader)
        if epoch != self._epoch:
            self._epoch = epoch
            for part in _parts(runner):
                part.set_epoch(epoch)


def _parts(runner: Runner) -> List[Any]:
    return [m for m in runner.model.modules() if hasattr(m, 'set_epoch')]
