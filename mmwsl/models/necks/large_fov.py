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
    erasing (https://arxiv.org/abs/1703.08448). ``kernels=(3, 3)`` is what
    localisation puts behind InceptionV3, ``(3,)`` what behind VGG-16
    (https://arxiv.org/abs/2001.07437).

    Args:
        in_channels: Channels of the features.
        channels: Channels of the layers.
        dilation: Dilation of the first.
        dropout_ratio: Probability that a channel is dropped.
        in_index: Which of the backbone's outputs is used.
        pools: Poolings 3 x 3 of stride 1 before the layers, 'max' or 'avg'.
        kernels: Odd sides of the layers' kernels.
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
        kernels: Sequence[int] = (3, 1),
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
        for kernel in kernels:
            reach = dilation * (kernel // 2)
            layers += [
                nn.Conv2d(
                    in_channels,
                    channels,
                    kernel,
                    padding=reach,
                    dilation=dilation,
                ),
                nn.ReLU(),
                nn.Dropout2d(dropout_ratio),
            ]
            in_channels, dilation = channels, 1
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: Sequence[Tensor]) -> Tuple[Tensor, ...]:
        """Turn a tuple of features into (N, channels, h, w)."""
        return (self.layers(inputs[self.in_index]),)
