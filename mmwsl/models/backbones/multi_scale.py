"""One backbone for an image at several sizes."""

from typing import Dict, List, Optional, Sequence, Tuple

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmwsl.registry import MODELS


@MODELS.register_module()
class MultiScaleBackbone(BaseModule):
    """Features of an image at several sizes, by one backbone.

    As DeepLabV2 (https://arxiv.org/abs/1606.00915) with multi-scale inputs
    has it; :class:`mmwsl.models.MultiScaleHead` takes what comes out.

    Args:
        backbone: Config of the backbone.
        scales: Factors of the input's height and width.
        init_cfg: Initialisation; the backbone's config has its own.
    """

    def __init__(
        self,
        backbone: Dict,
        scales: Sequence[float] = (1.0, 0.75, 0.5),
        init_cfg: Optional[Dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        if not scales or min(scales) <= 0:
            raise ValueError(
                f'scales must be positive numbers, got {tuple(scales)}.'
            )
        self.backbone = MODELS.build(backbone)
        self.scales = tuple(scales)

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Return the backbone's outputs, scale after scale.

        Args:
            x: Images (N, 3, H, W).
        """
        outputs: List[Tensor] = []
        for scale in self.scales:
            resized = x
            if scale != 1:
                # Rounded down as F.interpolate does it, but never to nothing.
                size = [max(int(edge * scale), 1) for edge in x.shape[2:]]
                resized = F.interpolate(
                    x, size, mode='bilinear', align_corners=False
                )
            outputs.extend(self.backbone(resized))
        return tuple(outputs)
