"""What a run of adversarial erasing has come to."""

from dataclasses import asdict, dataclass, field
from typing import List, Optional

from mmengine.runner import Runner

_KEY = 'adversarial_erasing'


@dataclass
class ErasingState:
    """The steps that have ended.

    Attributes:
        epochs: Epochs of a step.
        losses: The converged loss of each step.
        digests: Of the regions of each step that is merged.
        mean: Pixel that regions are filled with, in the order of images.
    """

    epochs: int
    losses: List[float] = field(default_factory=list)
    digests: List[str] = field(default_factory=list)
    mean: List[float] = field(default_factory=list)

    def over(self, num_steps: int) -> bool:
        """Whether no step is left, or one has been refused."""
        ended = len(self.losses)
        return ended == num_steps or ended > len(self.digests)

    def jumps(self, loss: float, factor: Optional[float]) -> bool:
        """Whether the loss of the step that ends says that it is too late.

        Args:
            loss: The converged loss.
            factor: How much of the first step's is too much; None for never.
        """
        if factor is None or not self.losses:
            return False
        return loss > factor * self.losses[0]

    def tell(self, runner: Runner) -> None:
        """Let the checkpoints know."""
        runner.message_hub.update_info(_KEY, asdict(self))


def resumed_state(runner: Runner, epochs: int) -> ErasingState:
    """Return the state that a checkpoint was written in.

    Args:
        runner: The runner, which has loaded the checkpoint.
        epochs: Epochs of a step.

    Raises:
        ValueError: If the checkpoint does not belong to such a run.
    """
    told = runner.message_hub.runtime_info.get(_KEY)
    if told is None or told['epochs'] != epochs:
        raise ValueError(
            'The checkpoint is not from AdversarialErasingLoop with '
            f'epochs={epochs}: it cannot be resumed with it.'
        )
    return ErasingState(
        epochs, list(told['losses']), list(told['digests']), list(told['mean'])
    )
