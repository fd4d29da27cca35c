"""One decode head for features of several scales.

Shape shorthand: N images, L labels with background, (h, w) the largest
features.
"""

from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmwsl.models.decode_heads.decode_head import DecodeHead, resize
from mmwsl.registry import MODELS


@MODELS.register_module()
class MultiScaleHead(DecodeHead):
    """The maximum of a decode head's logits at several scales.

    As DeepLabV2 (https://arxiv.org/abs/1606.00915) with multi-scale inputs
    has it, behind :class:`mmwsl.models.MultiScaleBackbone`. In training the
    logits of each scale have a loss, too.

    Args:
        decode_head: Config of the head: one of ours, or one of mmseg's with
            its prefix.
        num_scales: How many scales the backbone has.
        scale_weight: Factor of the losses of the single scales.
        init_cfg: Initialisation; the head's config has its own.
    """

    def __init__(
        self,
        decode_head: Dict,
        num_scales: int = 3,
        scale_weight: float = 1.0,
        init_cfg: Optional[Dict] = None,
    ) -> None:
        if num_scales < 1:
            raise ValueError(
                f'num_scales must be at least 1, got {num_scales}.'
            )
        head = MODELS.build(decode_head)
        super().__init__(
            head.num_classes,
            align_corners=head.align_corners,
            ignore_index=head.ignore_index,
            init_cfg=init_cfg,
        )
        self.decode_head = head
        self.num_scales = num_scales
        self.scale_weight = scale_weight

    def scale_logits(self, inputs: Sequence[Tensor]) -> List[Tensor]:
        """Return the logits of each scale, each of its own size.

        Args:
            inputs: The backbone's outputs, scale after scale.
        """
        return [self.decode_head(part) for part in self._scales(inputs)]

    def largest_scale(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the features of the largest scale."""
        return max(self._scales(inputs), key=lambda part: part[-1].shape[2:])

    def _scales(self, inputs: Sequence[Tensor]) -> List[Tuple[Tensor, ...]]:
        """Part the backbone's outputs by scale."""
        number, rest = divmod(len(inputs), self.num_scales)
        if rest or not number:
            raise ValueError(
                f'MultiScaleHead: {len(inputs)} features are not those of '
                f'{self.num_scales} scales; num_scales must be that of '
                'MultiScaleBackbone.'
            )
        return [
            tuple(inputs[start : start + number])
            for start in range(0, len(inputs), number)
        ]

    def _fused(self, scales: Sequence[Tensor]) -> Tensor:
        size = max(logits.shape[2:] for logits in scales)
        resized = [
            logits
            if logits.shape[2:] == size
            else resize(logits, size, self.align_corners)
            for logits in scales
        ]
        return torch.stack(resized).amax(dim=0)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return the largest logits (N, L, h, w) of all scales."""
        return self._fused(self.scale_logits(inputs))

    def logits_and_loss(
        self, inputs: Sequence[Tensor], batch_data_samples: Sequence[Any]
    ) -> Tuple[Tensor, Dict[str, Tensor]]:
        """Return the fused logits and the losses.

        Args:
            inputs: The backbone's outputs, scale after scale.
            batch_data_samples: N samples with ``gt_sem_seg``.

        Returns:
            Logits (N, L, h, w), and the decode head's losses of them and,
            under ``NAME_scaleI``, of each scale.
        """
        scales = self.scale_logits(inputs)
        fused = self._fused(scales)
        losses = dict(self.decode_head.loss_by_feat(fused, batch_data_samples))
        if self.num_scales == 1:
            return fused, losses
        for index, logits in enumerate(scales):
            found = self.decode_head.loss_by_feat(logits, batch_data_samples)
            for name, value in found.items():
                # What is no loss is only shown.
                weight = self.scale_weight if 'loss' in name else 1
                losses[f'{name}_scale{index}'] = weight * value
        return fused, losses
