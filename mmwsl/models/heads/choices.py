"""Settings of the heads that are one of a few words."""

from typing import Mapping, Sequence, Union

# Which classes of an image: those of its labels, the predicted ones, all.
KEEPS = ('given', 'predicted', 'all')


def check_choice(
    name: str, value: str, choices: Union[Sequence[str], Mapping]
) -> None:
    """Refuse a value that is not one of ``choices``.

    Raises:
        ValueError: Naming the setting, the value and the choices.
    """
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}, got '{value}'.")
