"""The head of DeepLabV2."""

from typing import Any, Dict, Optional, Sequence

from torch import Tensor, nn

from mmwsl.models.decode_heads.decode_head import DecodeHead
from mmwsl.registry import MODELS


@MODELS.register_module()
class DeepLabV2Head(DecodeHead):
    """Atrous spatial pyramid pooling (https://arxiv.org/abs/1606.00915).

    Dilated 3 x 3 convolutions look at the features side by side, each
    straight to the labels, and their logits are summed, as DeepLabV2 with a
    ResNet does.

    Args:
        in_channels: Channels of the features.
        num_classes: Labels, background counted.
        dilations: Dilation of each convolution.
        init_cfg: Initialisation, by default a normal one of 0.01.
        **kwargs: Arguments of :class:`DecodeHead`.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        dilations: Sequence[int] = (6, 12, 18, 24),
        init_cfg: Optional[Dict] = None,
        **kwargs: Any,
    ) -> None:
        default = dict(type='Normal', layer='Conv2d', std=0.01)
        super().__init__(num_classes, init_cfg=init_cfg or default, **kwargs)
        if not dilations:
            raise ValueError('dilations must hold at least one number.')
        self.branches = nn.ModuleList(
            nn.Conv2d(in_channels, num_classes, 3, padding=d, dilation=d)
            for d in dilations
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return logits (N, L, h, w) of a tuple of features."""
        features = inputs[self.in_index]
        logits = self.branches[0](features)
        for branch in self.branches[1:]:
            logits = logits + branch(features)
        return logits
