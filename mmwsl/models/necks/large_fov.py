"""The fully connected layers of a classifier as convolutions."""

from typing import Dict, List, Optional, Sequence, Tuple

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmwsl.registry import MODELS

_POOLS = {'max': nn.MaxPool2d, 'avg': nn.AvgPool2d}


@MODELS.register_module()
class LargeFOVNeck(BaseModule):
    """VGG-16's two fully connected layers as convolutions, for a CAM head.

    A convolution of 3 x 3 with dilation and one of 1 x 1, each with ReLU and
    dropout of channels, as in DeepLab-LargeFOV
    (https://arxiv.org/abs/1412.7062) and in the classifier of adversarial
    erasing (https://arxiv.org/abs/1703.08448).

    Args:
        in_channels: Channels of the features.
        channels: Channels of the two layers.
        dilation: Dilation of the first.
        dropout_ratio: Probability that a channel is dropped.
        in_index: Which of the backbone's outputs is used.
        pools: Poolings 3 x 3 of stride 1 before the layers, 'max' or 'avg'.
        init_cfg: Initialisation, by default torch's own.

    Raises:
        ValueError: If a pooling is unknown.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int = 1024,
        dilation: int = 1,
        dropout_ratio: float = 0.5,
        in_index: int = -1,
        pools: Sequence[str] = (),
        init_cfg: Optional[Dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_index = in_index
        self.in_channels = in_channels
        self.out_channels = (channels,)
        unknown = sorted(set(pools) - set(_POOLS))
        if unknown:
            raise ValueError(
                f"pools must hold 'max' or 'avg', got '{unknown[0]}'."
            )
        layers: List[nn.Module] = [
            _POOLS[name](3, stride=1, padding=1) for name in pools
        ]
        self.layers = nn.Sequential(
            *layers,
            nn.Conv2d(
                in_channels, channels, 3, padding=dilation, dilation=dilation
            ),
            nn.ReLU(),
            nn.Dropout2d(dropout_ratio),
            nn.Conv2d(channels, channels, 1),
            nn.ReLU(),
            nn.Dropout2d(dropout_ratio),
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tuple[Tensor, ...]:
        """Turn a tuple of features into (N, channels, h, w)."""
        return (self.layers(inputs[self.in_index]),)
