"""Prohibitive segmentation learning.

Shape shorthand: N images, C classes, L = C + 1 labels, (h, w) the features,
(H, W) the label maps.
"""

from typing import Any, Dict, Optional, Sequence

import torch
from torch import Tensor, nn

from mmwsl.models.decode_heads.decode_head import (
    DecodeHead,
    input_size,
    pixel_cross_entropy,
    resize,
    stack_label_maps,
)
from mmwsl.models.losses import multi_label_soft_margin_loss
from mmwsl.registry import MODELS


@MODELS.register_module()
class PSLHead(DecodeHead):
    """Prohibitive segmentation learning of https://arxiv.org/abs/1703.08448.

    A branch beside any decode head predicts which classes an image shows,
    with confidence v. In training the head also learns from the mask
    ``argmax([1, v] * f)``, in which f are its own probabilities: classes
    that the image hardly shows are kept out of it. No gradient flows
    through this mask, and padding of mmseg's preprocessor takes no part. In
    prediction v weights f, and confidences below a threshold count as 0.

    Args:
        decode_head: Config of the head that segments: one of ours, or one
            of mmseg's with its prefix.
        in_channels: Channels of the features of the branch.
        in_index: Which of the backbone's outputs the branch uses; behind a
            multi-scale backbone, of those of the largest scale.
        threshold: Confidence below which a class is ruled out.
        online_weight: Factor of the loss on the online mask.
        class_weight: Factor of the loss of the branch.
        weighted_test: Whether v weights f in prediction. Where image labels
            decide which classes may appear, as for the label maps of PSL+,
            it would only take pixels away from the classes that are there.
        init_cfg: Initialisation, by default a normal one of 0.01 for the
            branch.
    """

    def __init__(
        self,
        decode_head: Dict,
        in_channels: int,
        in_index: int = -1,
        threshold: float = 0.1,
        online_weight: float = 1.0,
        class_weight: float = 1.0,
        weighted_test: bool = True,
        init_cfg: Optional[Dict] = None,
    ) -> None:
        head = MODELS.build(decode_head)
        super().__init__(
            head.num_classes,
            in_index,
            head.align_corners,
            head.ignore_index,
            init_cfg=init_cfg
            or dict(type='Normal', std=0.01, override=dict(name='classifier')),
        )
        self.decode_head = head
        self.classifier = nn.Linear(in_channels, self.num_classes - 1)
        self.threshold = threshold
        self.online_weight = online_weight
        self.class_weight = class_weight
        self.weighted_test = weighted_test

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return the logits (N, L, h, w) of the decode head."""
        return self.decode_head(inputs)

    def class_logits(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return the logits (N, C) of the branch."""
        if isinstance(self.decode_head, DecodeHead):
            inputs = self.decode_head.largest_scale(inputs)
        return self.classifier(inputs[self.in_index].mean(dim=(2, 3)))

    def loss(
        self,
        inputs: Sequence[Tensor],
        batch_data_samples: Sequence[Any],
        train_cfg: Any = None,
    ) -> Dict[str, Tensor]:
        """Return the decode head's losses, ``loss_online``, ``loss_class``.

        Image labels are the samples' ``gt_score``, or else the classes that
        their label maps hold.

        Args:
            inputs: Features of the backbone.
            batch_data_samples: N samples with ``gt_sem_seg`` and, if they
                were padded, ``padding_size``.
            train_cfg: Not used.
        """
        if isinstance(self.decode_head, DecodeHead):
            logits, losses = self.decode_head.logits_and_loss(
                inputs, batch_data_samples
            )
        else:
            logits = self(inputs)
            losses = self.decode_head.loss_by_feat(logits, batch_data_samples)
        classes = self.class_logits(inputs).float()
        labels = stack_label_maps(batch_data_samples)
        logits = resize(logits.float(), labels.shape[1:], self.align_corners)
        online = online_mask(logits, classes.sigmoid())
        height, width = online.shape[1:]
        for mask, sample in zip(online, batch_data_samples):
            padding = sample.get('padding_size', (0, 0, 0, 0))
            left, right, top, bottom = padding
            is_image = torch.zeros_like(mask, dtype=torch.bool)
            is_image[top : height - bottom, left : width - right] = True
            mask[~is_image] = self.ignore_index
        loss = pixel_cross_entropy(logits, online, self.ignore_index)
        losses['loss_online'] = self.online_weight * loss
        targets = self._image_labels(batch_data_samples, labels)
        losses['loss_class'] = (
            self.class_weight * multi_label_soft_margin_loss(classes, targets)
        )
        return losses

    def _image_labels(
        self, samples: Sequence[Any], label_maps: Tensor
    ) -> Tensor:
        """Return multi-hot labels (N, C)."""
        rows = []
        for sample, label_map in zip(samples, label_maps):
            if 'gt_score' in sample:
                rows.append(sample.gt_score.to(label_map.device))
                continue
            valid = label_map[label_map != self.ignore_index]
            counts = valid.bincount(minlength=self.num_classes)
            rows.append((counts[1:] > 0).float())
        empty = torch.zeros(0, self.num_classes - 1)
        return torch.stack(rows) if rows else empty

    def predict(
        self,
        inputs: Sequence[Tensor],
        batch_img_metas: Sequence[Dict],
        test_cfg: Any = None,
    ) -> Tensor:
        """Return the logs of the weighted probabilities (N, L, H, W).

        The weighted probabilities are scaled to sum to 1, so a softmax of
        the result gives them back. With ``weighted_test=False`` the logits.
        """
        size = input_size(batch_img_metas[0])
        if not self.weighted_test:
            return resize(self(inputs), size, self.align_corners)
        logits = resize(self(inputs).float(), size, self.align_corners)
        confidence = self.class_logits(inputs).float().sigmoid()
        confidence = confidence.where(
            confidence >= self.threshold, torch.zeros_like(confidence)
        )
        scores = weighted_scores(logits, confidence)
        scores = scores / scores.sum(dim=1, keepdim=True).clamp(min=1e-12)
        return scores.clamp(min=1e-12).log()


def weighted_scores(logits: Tensor, confidence: Tensor) -> Tensor:
    """Multiply probabilities by [1, v].

    Args:
        logits: (N, L, H, W), background first.
        confidence: v (N, C) in [0, 1].

    Returns:
        (N, L, H, W) in [0, 1].
    """
    ones = torch.ones_like(confidence[:, :1])
    weights = torch.cat([ones, confidence], dim=1)
    return logits.softmax(dim=1) * weights[:, :, None, None]


@torch.no_grad()
def online_mask(logits: Tensor, confidence: Tensor) -> Tensor:
    """Return the mask ``argmax([1, v] * f)``, long (N, H, W)."""
    return weighted_scores(logits, confidence).argmax(dim=1)
