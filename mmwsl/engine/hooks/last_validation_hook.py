"""The validation that a killed run did not get to."""

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmwsl.registry import HOOKS


@HOOKS.register_module()
class LastValidationHook(Hook):
    """Validates a resumed run that has nothing left to train.

    A run that is killed between its last checkpoint and the end of its last
    validation would otherwise never log the scores. ``tools/train.py`` uses
    this hook when it resumes.
    """

    def __init__(self) -> None:
        self._at_end = False

    def before_train(self, runner: Runner) -> None:
        """See whether training is over and should end with a validation."""
        loop = runner.train_loop
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        done = loop.epoch if by_epoch else loop.iter
        self._at_end = loop.iter >= loop.max_iters and done >= loop.val_begin

    def after_train(self, runner: Runner) -> None:
        """Validate if nothing was trained."""
        if self._at_end and runner.val_loop is not None:
            runner.val_loop.run()
