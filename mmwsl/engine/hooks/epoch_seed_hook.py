"""Random numbers that depend on the epoch, not on the run's history."""

from typing import Any, Iterator

from mmengine.hooks import Hook
from mmengine.runner import Runner, set_random_seed

from mmwsl.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed every epoch anew, so that a resumed run repeats what it lost.

    Before each epoch the random generators of this process (dropout, batch
    augmentations) are seeded from the run's seed, the epoch and the rank,
    and every dataset with a ``set_epoch`` method is told the epoch, from
    which it seeds the augmentations of each image. The same images are then
    made with any number of workers and processes, and after ``--resume``.

    It belongs to epoch-based training; iteration-based loops skip the
    batches already seen and need nothing.
    """

    priority = 'HIGH'

    # A prime apart, so that ranks and epochs never share a seed by chance.
    _EPOCH_STRIDE = 7919

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed the process and tell the datasets the epoch."""
        seed = runner.seed + self._EPOCH_STRIDE * (runner.epoch + 1)
        set_random_seed((seed + runner.rank) % 2**32)
        for dataset in _walk(runner.train_dataloader.dataset):
            if hasattr(dataset, 'set_epoch'):
                # Workers start after this and take the seed with them.
                dataset.seed = runner.seed
                dataset.set_epoch(runner.epoch)


def _walk(dataset: Any) -> Iterator[Any]:
    """Yield a dataset and all that its wrappers hold."""
    yield dataset
    inner = list(getattr(dataset, 'datasets', []))
    if hasattr(dataset, 'dataset'):
        inner.append(dataset.dataset)
    for child in inner:
        yield from _walk(child)
