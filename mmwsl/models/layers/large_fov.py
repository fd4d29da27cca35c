"""VGG-16's fully connected layers as convolutions."""

from typing import List, Sequence

from torch import nn

_POOLS = {'max': nn.MaxPool2d, 'avg': nn.AvgPool2d}


def large_fov_layers(
    in_channels: int,
    channels: int,
    dilation: int,
    dropout_ratio: float,
    pools: Sequence[str],
) -> nn.Sequential:
    """Build the layers of DeepLab-LargeFOV (https://arxiv.org/abs/1412.7062).

    Poolings 3 x 3 of stride 1, then a convolution of 3 x 3 with dilation and
    one of 1 x 1, each with ReLU and dropout of channels.

    Args:
        in_channels: Channels of the features.
        channels: Channels of the two layers.
        dilation: Dilation of the first.
        dropout_ratio: Probability that a channel is dropped.
        pools: 'max' or 'avg' for each pooling.

    Returns:
        The layers, (N, in_channels, h, w) to (N, channels, h, w).

    Raises:
        ValueError: If a pooling is unknown.
    """
    unknown = sorted(set(pools) - set(_POOLS))
    if unknown:
        raise ValueError(
            f"pools must hold 'max' or 'avg', got '{unknown[0]}'."
        )
    layers: List[nn.Module] = [
        _POOLS[name](3, stride=1, padding=1) for name in pools
    ]
    layers += [
        nn.Conv2d(
            in_channels, channels, 3, padding=dilation, dilation=dilation
        ),
        nn.ReLU(),
        nn.Dropout2d(dropout_ratio),
        nn.Conv2d(channels, channels, 1),
        nn.ReLU(),
        nn.Dropout2d(dropout_ratio),
    ]
    return nn.Sequential(*layers)
