"""Make epochs repeatable: seed them, number them, validate after the last."""

from typing import Any, List, Optional

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner, set_random_seed

from mmwsl.datasets import set_epoch
from mmwsl.registry import HOOKS

# A prime apart, so that the epochs of neighbouring seeds do not coincide.
_EPOCH_STRIDE = 7919


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed every epoch anew, so that a resumed run repeats what it lost.

    Before each epoch the random generators of this process (dropout, batch
    augmentations) are seeded from the run's seed, the epoch and the rank,
    and the epoch is set in the data sets, which seed from it the
    augmentations of each image. The same images are then made with any
    number of workers and processes, and after ``--resume``.

    It belongs to epoch-based training. An iteration-based loop has one
    epoch only, in which every image would always be drawn alike, so the
    hook leaves it alone; there mmengine skips the batches already seen.
    """

    priority = 'HIGH'

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed the process and set the epoch of the data sets."""
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            return
        _seed(runner)
        set_epoch(runner.train_dataloader.dataset, runner.epoch, runner.seed)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Seed the process again where the first batch has been loaded.

        A data loader that starts its workers draws a random number, one
        whose workers live on does not: a run that is resumed at this epoch
        would be a number ahead.
        """
        if batch_idx == 0 and isinstance(
            runner.train_loop, EpochBasedTrainLoop
        ):
            _seed(runner)


def _seed(runner: Runner) -> None:
    seed = runner.seed + _EPOCH_STRIDE * (runner.epoch + 1)
    set_random_seed((seed + runner.rank) % 2**32)


@HOOKS.register_module()
class HeadEpochHook(Hook):
    """Set the epoch of heads and losses that change with it.

    Before an iteration that begins an epoch, and the first one of a run,
    ``set_epoch(epoch)`` of all modules of the model that have it is called.
    The epoch is that of the run's iterations, so it is right after
    ``--resume`` and in loops that count iterations alone.
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
        """Set the epoch of the modules if it is a new one."""
        epoch = runner.iter // len(runner.train_dataloader)
        if epoch != self._epoch:
            self._epoch = epoch
            for part in _parts(runner):
                part.set_epoch(epoch)


def _parts(runner: Runner) -> List[Any]:
    return [m for m in runner.model.modules() if hasattr(m, 'set_epoch')]


@HOOKS.register_module()
class LastValidationHook(Hook):
    """Validate a resumed run that has nothing left to train.

    A run that is killed between its last checkpoint and the end of its last
    validation would otherwise never log the scores. ``tools/train.py`` uses
    this hook when it resumes.
    """

    def __init__(self) -> None:
        self._at_end = False

    def before_train(self, runner: Runner) -> None:
        """Note whether training is over and should end with a validation."""
        loop = runner.train_loop
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        done = loop.epoch if by_epoch else loop.iter
        self._at_end = loop.iter >= loop.max_iters and done >= loop.val_begin

    def after_train(self, runner: Runner) -> None:
        """Validate if nothing was trained."""
        if self._at_end and runner.val_loop is not None:
            runner.val_loop.run()
