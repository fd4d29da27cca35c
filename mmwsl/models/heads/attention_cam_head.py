"""The head of class maps that are coupled with attention."""

from typing import Sequence, Tuple

import torch
from torch import Tensor

from mmwsl.models.heads.cam_head import CAMHead
from mmwsl.registry import MODELS


@MODELS.register_module()
class AttentionCAMHead(CAMHead):
    """Class maps times attention (TS-CAM, https://arxiv.org/abs/2103.14862).

    A :class:`CAMHead`, with the same training, weights and scores, whose maps
    are multiplied by the map of the class token's attention. The backbone
    gives it: ``model.backbone.attention='class'``, as TS-CAM has it, or
    ``'rollout'``, see :class:`mmwsl.models.TransformerBackbone`.
    """

    def view_maps(self, feats: Sequence[Tensor]) -> Tensor:
        """Return class maps, and the same times attention (N, 2C, h, w).

        Raises:
            ValueError: If the first feature is no map of attention.
        """
        maps, attention = self(feats), feats[0]
        if len(feats) < 2 or attention.shape[1] != 1:
            raise ValueError(
                f'{type(self).__name__}: the features bring no attention; '
                "set model.backbone.attention to 'class' or 'rollout', of a "
                'TransformerBackbone without a neck.'
            )
        return torch.cat([maps, maps * attention], dim=1)

    def split_view(self, maps: Tensor) -> Tuple[Tensor, Tensor]:
        """Return the class maps, and those times attention, of a view."""
        scored, coupled = maps.chunk(2, dim=1)
        return scored, coupled
