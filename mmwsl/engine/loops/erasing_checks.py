"""What adversarial erasing asks of a run."""

from typing import Any, Optional, Sequence

from mmengine.hooks import EarlyStoppingHook, EMAHook

from mmwsl.pseudo_labels.regions import MODES


def check_hooks(hooks: Sequence[Any]) -> None:
    """Refuse hooks that would not start anew with each step.

    Raises:
        ValueError: If there is one.
    """
    for hook in hooks:
        if isinstance(hook, (EarlyStoppingHook, EMAHook)):
            raise ValueError(
                'AdversarialErasingLoop does not go with '
                f'{type(hook).__name__}, which would not start anew with '
                'each step'
            )


def check_same_images(
    trained: Sequence[str], predicted: Sequence[str]
) -> None:
    """Check that the regions of every training image will be there.

    Raises:
        ValueError: If not.
    """
    missing = sorted(set(trained) - set(predicted))
    if missing:
        raise ValueError(
            f'AdversarialErasingLoop: {len(missing)} images of '
            'train_dataloader are not in predict_dataloader, the first is '
            f'{missing[0]}'
        )


def check_arguments(
    num_steps: int,
    epochs: int,
    mode: str,
    fraction: float,
    stop_factor: Optional[float],
) -> None:
    """Check the loop's arguments.

    Raises:
        ValueError: If one is out of range.
    """
    for name, value, good in (
        ('num_steps', num_steps, num_steps >= 1),
        ('epochs', epochs, epochs >= 1),
        ('mode', mode, mode in MODES),
        ('fraction', fraction, 0 < fraction <= 1),
        ('stop_factor', stop_factor, stop_factor is None or stop_factor > 1),
    ):
        if not good:
            raise ValueError(
                f'AdversarialErasingLoop: {name} is out of range: {value!r}'
            )
