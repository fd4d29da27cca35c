"""Decode heads for mmseg's EncoderDecoder, which need no mmseg.

Shape shorthand: N images, L labels with background, (h, w) the features,
(H, W) the label maps.
"""

from functools import reduce
from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmwsl.models.necks import LargeFOVNeck
from mmwsl.registry import MODELS


class DecodeHead(BaseModule):
    """Base of our decode heads.

    Subclasses have a ``forward`` that gives logits (N, L, h, w). Segmentors
    of mmseg take them as they take mmseg's own heads.

    Args:
        num_classes: L, background counted.
        in_index: Which of the backbone's outputs is used.
        align_corners: How logits are resized.
        ignore_index: Value of label maps that is left out.
        loss_weight: Factor of the loss.
        loss_size: Whose size the loss has: that of the 'labels', or of the
            'logits', as in most PyTorch codes of DeepLabV2.
        init_cfg: Initialisation.
    """

    def __init__(
        self,
        num_classes: int,
        in_index: int = -1,
        align_corners: bool = False,
        ignore_index: int = 255,
        loss_weight: float = 1.0,
        loss_size: str = 'labels',
        init_cfg: Optional[Dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        # Segmentors read the number of channels under this name.
        self.num_classes = self.out_channels = num_classes
        self.in_index = in_index
        self.align_corners = align_corners
        self.ignore_index = ignore_index
        self.loss_weight = loss_weight
        if loss_size not in ('labels', 'logits'):
            raise ValueError(
                f"loss_size must be 'labels' or 'logits', got {loss_size!r}."
            )
        self.loss_size = loss_size

    def loss(
        self,
        inputs: Sequence[Tensor],
        batch_data_samples: Sequence[Any],
        train_cfg: Any = None,
    ) -> Dict[str, Tensor]:
        """Return the losses of the backbone's features.

        Args:
            inputs: The features.
            batch_data_samples: N samples with ``gt_sem_seg``.
            train_cfg: Not used.
        """
        return self.logits_and_loss(inputs, batch_data_samples)[1]

    def logits_and_loss(
        self, inputs: Sequence[Tensor], batch_data_samples: Sequence[Any]
    ) -> Tuple[Tensor, Dict[str, Tensor]]:
        """Return the logits (N, L, h, w) beside the losses of :meth:`loss`."""
        logits = self(inputs)
        return logits, self.loss_by_feat(logits, batch_data_samples)

    def largest_scale(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return those of the features that see the images at full size."""
        return inputs

    def loss_by_feat(
        self, seg_logits: Tensor, batch_data_samples: Sequence[Any]
    ) -> Dict[str, Tensor]:
        """Return ``loss_ce`` of logits (N, L, h, w)."""
        labels = stack_label_maps(batch_data_samples)
        if self.loss_size == 'labels':
            size = labels.shape[1:]
            seg_logits = resize(seg_logits, size, self.align_corners)
        else:
            labels = F.interpolate(
                labels[:, None].float(), seg_logits.shape[2:], mode='nearest'
            )[:, 0].long()
        loss = pixel_cross_entropy(seg_logits, labels, self.ignore_index)
        return dict(loss_ce=self.loss_weight * loss)

    def predict(
        self,
        inputs: Sequence[Tensor],
        batch_img_metas: Sequence[Dict],
        test_cfg: Any = None,
    ) -> Tensor:
        """Return the logits (N, L, H, W) at the size of the input."""
        size = input_size(batch_img_metas[0])
        return resize(self(inputs), size, self.align_corners)


@MODELS.register_module()
class LargeFOVHead(DecodeHead):
    """DeepLab with a large field of view (https://arxiv.org/abs/1412.7062).

    The layers of :class:`~mmwsl.models.LargeFOVNeck`, then the classifier.

    Args:
        in_channels: Channels of the features.
        num_classes: L, background counted.
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
        # The neck's name would be part of the names of its parameters.
        self.layers = LargeFOVNeck(
            in_channels, channels, dilation, dropout_ratio, pools=pools
        ).layers
        self.conv_seg = nn.Conv2d(channels, num_classes, 1)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return logits (N, L, h, w) of a tuple of features."""
        return self.conv_seg(self.layers(inputs[self.in_index]))


@MODELS.register_module()
class DeepLabV2Head(DecodeHead):
    """Atrous spatial pyramid pooling (https://arxiv.org/abs/1606.00915).

    Dilated 3 x 3 convolutions look at the features side by side, each
    straight to the labels, and their logits are summed, as DeepLabV2 with a
    ResNet does.

    Args:
        in_channels: Channels of the features.
        num_classes: L, background counted.
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
        return reduce(
            torch.add, (branch(features) for branch in self.branches)
        )


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

    def _scales(self, inputs: Sequence[Tensor]) -> List[Sequence[Tensor]]:
        """Part the backbone's outputs, which come scale after scale."""
        number, rest = divmod(len(inputs), self.num_scales)
        if rest or not number:
            raise ValueError(
                f'MultiScaleHead: {len(inputs)} features are not those of '
                f'{self.num_scales} scales; num_scales must be that of '
                'MultiScaleBackbone.'
            )
        return [
            inputs[start : start + number]
            for start in range(0, len(inputs), number)
        ]

    def largest_scale(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the features of the largest scale."""
        return max(self._scales(inputs), key=lambda part: part[-1].shape[2:])

    def _logits(self, inputs: Sequence[Tensor]) -> Tuple[Tensor, List[Tensor]]:
        """Return the largest logits of all scales, and those of each."""
        scales = [self.decode_head(part) for part in self._scales(inputs)]
        size = max(logits.shape[2:] for logits in scales)
        resized = [
            logits
            if logits.shape[2:] == size
            else resize(logits, size, self.align_corners)
            for logits in scales
        ]
        return torch.stack(resized).amax(dim=0), scales

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return the largest logits (N, L, h, w) of all scales."""
        return self._logits(inputs)[0]

    def logits_and_loss(
        self, inputs: Sequence[Tensor], batch_data_samples: Sequence[Any]
    ) -> Tuple[Tensor, Dict[str, Tensor]]:
        """Return the fused logits, and their losses and those of each scale.

        The losses of scale I are named ``NAME_scaleI``.
        """
        fused, scales = self._logits(inputs)
        loss_by_feat = self.decode_head.loss_by_feat
        losses = dict(loss_by_feat(fused, batch_data_samples))
        if self.num_scales == 1:
            return fused, losses
        for index, logits in enumerate(scales):
            for name, value in loss_by_feat(
                logits, batch_data_samples
            ).items():
                # What is no loss is only shown.
                weight = self.scale_weight if 'loss' in name else 1
                losses[f'{name}_scale{index}'] = weight * value
        return fused, losses


def pixel_cross_entropy(
    logits: Tensor, labels: Tensor, ignore_index: int = 255
) -> Tensor:
    """Mean cross entropy of the pixels that are not ignored.

    Pseudo labels ignore whole images, and then it is 0.

    Args:
        logits: (N, L, H, W).
        labels: Long (N, H, W).
        ignore_index: Label that is left out.
    """
    # In single precision at least.
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    total = F.cross_entropy(
        logits, labels, ignore_index=ignore_index, reduction='sum'
    )
    return total / (labels != ignore_index).sum().clamp(min=1)


def stack_label_maps(samples: Sequence[Any]) -> Tensor:
    """Return the label maps long (N, H, W) of samples."""
    if not samples:
        return torch.zeros(0, 1, 1, dtype=torch.long)
    return torch.cat([sample.gt_sem_seg.data for sample in samples]).long()


def resize(
    logits: Tensor, size: Tuple[int, ...], align_corners: bool
) -> Tensor:
    """Resize (N, L, h, w) bilinearly to (N, L, H, W)."""
    return F.interpolate(
        logits, tuple(size), mode='bilinear', align_corners=align_corners
    )


def input_size(meta: Dict) -> Tuple[int, int]:
    """Height and width of the padded input of an image."""
    shape = meta['img_shape']
    # mmseg tells the size of a sliding window as torch.Size.
    if not isinstance(shape, torch.Size):
        shape = meta.get('pad_shape', shape)
    return shape[0], shape[1]
