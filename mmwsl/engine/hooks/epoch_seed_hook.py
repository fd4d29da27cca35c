"""Random numbers that depend on the epoch, not on the run's history."""

from typing import Any

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
    and the datasets are told the epoch, from which they seed the
    augmentations of each image. The same images are then made with any
    number of workers and processes, and after ``--resume``.

    It belongs to epoch-based training. An iteration-based loop has one
    epoch only, in which every image would always be drawn alike, so the
    hook leaves it alone; there mmengine skips the batches already seen.
    """

    priority = 'HIGH'

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed the process and tell the datasets the epoch."""
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
