"""The head that learns accumulated attention."""

from typing import Any, Dict, Optional, Sequence

import torch
from torch import Tensor

from mmwsl.models.heads.cam_head import CAMHead, stack_gt_scores
from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample


@MODELS.register_module()
class IntegralAttentionHead(CAMHead):
    """Class maps that learn the attention of a finished training.

    The integral model of https://arxiv.org/abs/1909.08212, which NSROM
    (https://arxiv.org/abs/2103.14581) uses: every cell of a class map learns
    the accumulated attention, without pooling. Prediction is that of
    :class:`CAMHead`, whose maps are then the OA-CAMs.

    Args:
        num_classes: C, background not counted.
        in_channels: Channels of the features.
        loss: Config of the loss; by default the integral attention loss.
        absent: Whether the maps of absent classes learn to be empty, too.
            Only maps of present classes are used later.
        **kwargs: Other arguments of :class:`CAMHead`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss: Optional[Dict] = None,
        absent: bool = False,
        **kwargs: Any,
    ) -> None:
        loss = loss or dict(type='mmwsl.IntegralAttentionLoss')
        super().__init__(num_classes, in_channels, loss=loss, **kwargs)
        self.absent = absent

    def loss(
        self, feats: Sequence[Tensor], data_samples: Sequence[WSLDataSample]
    ) -> Dict[str, Tensor]:
        """Return the loss of the maps.

        Args:
            feats: Features of the backbone or neck.
            data_samples: N samples with ``gt_score`` and ``attention``,
                PixelData (K, h, w) of the K classes in ``gt_label``.

        Returns:
            ``loss_attention``, scalar.

        Raises:
            ValueError: If a sample has no attention, or of another size
                than the class maps.
        """
        present = stack_gt_scores(data_samples, self.num_classes) > 0
        maps = self(feats).float()
        self.record(maps)
        targets = torch.zeros_like(maps)
        for target, sample in zip(targets, data_samples):
            target[sample.gt_label] = _attention(sample, maps).to(maps)
        if not self.absent:
            maps, targets = maps[present], targets[present]
        return dict(loss_attention=self.loss_module(maps, targets))


def _attention(sample: WSLDataSample, maps: Tensor) -> Tensor:
    """Return the attention (K, h, w) of one sample."""
    if 'attention' not in sample:
        raise ValueError(
            f'{sample.get("img_id")}: the sample has no attention; put '
            "dict(type='LoadAttention', path=...) behind PackWSLInputs."
        )
    attention: Tensor = sample.attention.data
    if attention.shape[1:] != maps.shape[2:]:
        raise ValueError(
            f'{sample.get("img_id")}: the attention has '
            f'{attention.shape[1]} x {attention.shape[2]} cells, but the '
            f'class maps have {maps.shape[2]} x {maps.shape[3]}; both '
            'trainings need one input size and stride.'
        )
    return attention
