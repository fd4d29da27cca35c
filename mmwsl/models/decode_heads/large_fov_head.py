"""The head of DeepLab-LargeFOV."""

from typing import Any, Dict, Optional, Sequence

from torch import Tensor, nn

from mmwsl.models.decode_heads.decode_head import DecodeHead
from mmwsl.models.necks.large_fov import large_fov_layers
from mmwsl.registry import MODELS


@MODELS.register_module()
class LargeFOVHead(DecodeHead):
    """DeepLab with a large field of view (https://arxiv.org/abs/1412.7062).

    VGG-16's fully connected layers as convolutions: 3 x 3 with dilation and
    1 x 1, each with ReLU and dropout, then the classifier. Two poolings of
    stride 1 come before them.

    Args:
        in_channels: Channels of the features.
        num_classes: Labels, background counted.
        channels: Channels of the two layers.
        dilation: Dilation of the first.
        dropout_ratio: Probability that a channel is dropped.
        pools: Poolings 3 x 3 of stride 1 before the layers, 'max' or 'avg';
            without the first if the backbone ends with its own.
        init_cfg: Initialisation, by default a normal one of 0.01 for the
            classifier.
        **kwargs: Arguments of :class:`DecodeHead`.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        channels: int = 1024,
        dilation: int = 12,
        dropout_ratio: float = 0.5,
        pools: Sequence[str] = ('max', 'avg'),
        init_cfg: Optional[Dict] = None,
        **kwargs: Any,
    ) -> None:
        default = dict(type='Normal', std=0.01, override=dict(name='conv_seg'))
        super().__init__(num_classes, init_cfg=init_cfg or default, **kwargs)
        self.layers = large_fov_layers(
            in_channels, channels, dilation, dropout_ratio, pools
        )
        self.conv_seg = nn.Conv2d(channels, num_classes, 1)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return logits (N, L, h, w) of a tuple of features."""
        return self.conv_seg(self.layers(inputs[self.in_index]))
