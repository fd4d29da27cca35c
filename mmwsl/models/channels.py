"""Whether the parts of a model fit together."""

from typing import Any, Optional

from torch import nn


def check_channels(
    head: Any, name: str, neck: Optional[Any], backbone: Any
) -> None:
    """Compare the channels of features with those that the next part takes.

    Parts that do not say their channels are left alone.

    Args:
        head: Part with ``in_channels``, and ``in_index`` for one of several
            features.
        name: Its key in the model's config.
        neck: What lies before it, if there is something.
        backbone: What lies before that.

    Raises:
        ValueError: Naming the key and the number that fits.
    """
    if neck is not None:
        _check(neck, 'neck', backbone)
    _check(head, name, backbone if neck is None else neck)


def check_class_weights(model: nn.Module) -> None:
    """Compare lengths of ``class_weight`` of losses with ``num_classes``.

    Args:
        model: A model; what it holds is checked.

    Raises:
        ValueError: Naming the part, the loss and both numbers.
    """
    for name, part in model.named_modules():
        classes = getattr(part, 'num_classes', None)
        if not isinstance(classes, int):
            continue
        for inner, loss in part.named_modules():
            weight: Any = getattr(loss, 'class_weight', None)
            # A decode head of two classes may have one output.
            if hasattr(weight, '__len__') and len(weight) not in (
                classes,
                getattr(part, 'out_channels', classes),
            ):
                raise ValueError(
                    f'class_weight of {type(loss).__name__} '
                    f'(model.{name}.{inner}) has {len(weight)} values, but '
                    f'num_classes is {classes}.'
                )


def _check(part: Any, name: str, source: Any) -> None:
    given = getattr(source, 'out_channels', None)
    wanted = getattr(part, 'in_channels', None)
    if isinstance(given, (list, tuple)) and isinstance(wanted, int):
        index = getattr(part, 'in_index', -1)
        if not isinstance(index, int):
            return
        if not -len(given) <= index < len(given):
            raise ValueError(
                f'model.{name}.in_index is {index}, but the '
                f'{type(source).__name__} returns {len(given)} features.'
            )
        given = given[index]
    if not isinstance(given, (int, list, tuple)) or wanted is None:
        return
    if isinstance(given, int) != isinstance(wanted, int):
        return
    same = given if isinstance(given, int) else list(given)
    if same != (wanted if isinstance(wanted, int) else list(wanted)):
        raise ValueError(
            f'model.{name}.in_channels is {wanted}, but the features of the '
            f'{type(source).__name__} have {same}: set '
            f'model.{name}.in_channels={same}.'
        )
