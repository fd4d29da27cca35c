"""The fully connected layers of a classifier as convolutions."""

from typing import Dict, Optional, Sequence, Tuple

from mmengine.model import BaseModule
from torch import Tensor

from mmwsl.models.layers.large_fov import large_fov_layers
from mmwsl.registry import MODELS


@MODELS.register_module()
class LargeFOVNeck(BaseModule):
    """VGG-16's two fully connected layers, convolutional, before a CAM head.

    The classifier of adversarial erasing (https://arxiv.org/abs/1703.08448)
    has them. They are those of :class:`LargeFOVHead`, without its poolings.

    Shape shorthand: N images, K channels of the features, (h, w) their size.

    Args:
        in_channels: K.
        channels: Channels of the two layers.
        dilation: Dilation of the first.
        dropout_ratio: Probability that a channel is dropped.
        in_index: Which of the backbone's outputs is used.
        init_cfg: Initialisation, by default torch's own.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int = 1024,
        dilation: int = 1,
        dropout_ratio: float = 0.5,
        in_index: int = -1,
        init_cfg: Optional[Dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_index = in_index
        self.layers = large_fov_layers(
            in_channels, channels, dilation, dropout_ratio, pools=()
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tuple[Tensor, ...]:
        """Turn a tuple of features into (N, channels, h, w)."""
        return (self.layers(inputs[self.in_index]),)
