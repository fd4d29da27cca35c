"""Hand the model to metrics that ask it."""

from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmwsl.evaluation.metrics import FaithfulnessMetric
from mmwsl.models.classifiers import WSLClassifier
from mmwsl.registry import HOOKS
from mmwsl.utils.checkpoints import unwrap


@HOOKS.register_module()
class MetricModelHook(Hook):
    """Give FaithfulnessMetric the model; part of the default runtime.

    Raises:
        TypeError: If the model is not a WSLClassifier.
    """

    def before_val(self, runner: Runner) -> None:
        """Do so before a validation."""
        self._give(runner, runner.val_evaluator)

    def before_test(self, runner: Runner) -> None:
        """Do so before a test."""
        self._give(runner, runner.test_evaluator)

    def _give(self, runner: Runner, evaluator: Evaluator) -> None:
        model = unwrap(runner.model)
        for metric in evaluator.metrics:
            if isinstance(metric, FaithfulnessMetric):
                if not isinstance(model, WSLClassifier):
                    raise TypeError(
                        'FaithfulnessMetric needs a WSLClassifier, got '
                        f'{type(model).__name__}'
                    )
                metric.model = model
