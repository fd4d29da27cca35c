"""Telling the head the epoch."""

from typing import Any, Optional

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmwsl.registry import HOOKS


@HOOKS.register_module()
class HeadEpochHook(Hook):
    """Tells the model's head the epoch, for losses that change with it.

    Before an iteration that begins an epoch, and the first one of a run,
    ``model.head.set_epoch(epoch)`` is called. The epoch is that of the
    run's iterations, so it is right after ``--resume`` and in loops that
    count iterations alone.

    Raises:
        TypeError: If the model's head has no ``set_epoch``.
    """

    def __init__(self) -> None:
        self._epoch: Optional[int] = None

    def before_train(self, runner: Runner) -> None:
        """Check the head."""
        self._epoch = None
        head = _head(runner)
        if not hasattr(head, 'set_epoch'):
            raise TypeError(
                'HeadEpochHook in custom_hooks needs a head with set_epoch, '
                f'as DensityHead has it; {type(head).__name__} has none.'
            )

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Tell the head the epoch if it is a new one."""
        epoch = runner.iter // len(runner.train_dataloader)
        if epoch != self._epoch:
            self._epoch = epoch
            _head(runner).set_epoch(epoch)


def _head(runner: Runner) -> Any:
    model = runner.model
    if is_model_wrapper(model):
        model = model.module
    return getattr(model, 'head', None)
