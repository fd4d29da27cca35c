"""What mmseg's EncoderDecoder asks of a decode head.

Shape shorthand: N images, L labels with background, (h, w) the features,
(H, W) the label maps.
"""

from typing import Any, Dict, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor


class DecodeHead(BaseModule):
    """Base of our decode heads, which needs no mmseg.

    Subclasses have a ``forward`` that gives logits (N, L, h, w). Segmentors
    of mmseg take them as they take mmseg's own heads.

    Args:
        num_classes: L, background counted.
        in_index: Which of the backbone's outputs is used.
        align_corners: How logits are resized.
        ignore_index: Value of label maps that is left out.
        loss_weight: Factor of the loss.
        init_cfg: Initialisation.
    """

    def __init__(
        self,
        num_classes: int,
        in_index: int = -1,
        align_corners: bool = False,
        ignore_index: int = 255,
        loss_weight: float = 1.0,
        init_cfg: Optional[Dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        # Segmentors read the number of channels under this name.
        self.num_classes = self.out_channels = num_classes
        self.in_index = in_index
        self.align_corners = align_corners
        self.ignore_index = ignore_index
        self.loss_weight = loss_weight

    def loss(
        self,
        inputs: Sequence[Tensor],
        batch_data_samples: Sequence[Any],
        train_cfg: Any = None,
    ) -> Dict[str, Tensor]:
        """Return the loss of features.

        Args:
            inputs: Features of the backbone.
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
        logits = resize(seg_logits, labels.shape[1:], self.align_corners)
        loss = pixel_cross_entropy(logits, labels, self.ignore_index)
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


def pixel_cross_entropy(
    logits: Tensor, labels: Tensor, ignore_index: int = 255
) -> Tensor:
    """Mean cross entropy of the pixels that are not ignored.

    Pseudo labels ignore whole images, and then it is 0.

    Args:
        logits: (N, L, H, W).
        labels: Long (N, H, W).
        ignore_index: Label that is left out.

    Returns:
        Scalar.
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
