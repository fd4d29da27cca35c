"""Losses on image-level scores.

Shape shorthand: N images in a batch, C classes.
"""

from typing import Optional, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmwsl.registry import MODELS


def multi_label_soft_margin_loss(
    scores: Tensor, targets: Tensor, class_weight: Optional[Tensor] = None
) -> Tensor:
    """Mean binary cross entropy of every image and class.

    ``- mean_n mean_c w_c (y log sigma(s) + (1 - y) log(1 - sigma(s)))``

    Of no images it is 0.

    Args:
        scores: Logits s (N, C).
        targets: Labels y (N, C) in [0, 1].
        class_weight: Weights w (C,), 1 if not given.

    Returns:
        Scalar.
    """
    if not len(scores):
        return scores.sum()
    return F.multilabel_soft_margin_loss(scores, targets, weight=class_weight)


class _WeightedLoss(nn.Module):
    """What the two losses below share: the two kinds of weights."""

    class_weight: Optional[Tensor]

    def __init__(
        self,
        loss_weight: float = 1.0,
        class_weight: Optional[Sequence[float]] = None,
    ) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        # From the config, so it has no place in the checkpoint.
        self.register_buffer(
            'class_weight',
            None
            if class_weight is None
            else torch.tensor(class_weight, dtype=torch.float32),
            persistent=False,
        )


@MODELS.register_module()
class MultiLabelSoftMarginLoss(_WeightedLoss):
    """Module of :func:`multi_label_soft_margin_loss`.

    Args:
        loss_weight: Factor of the loss.
        class_weight: One weight a class.
    """

    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of logits (N, C) and multi-hot labels (N, C)."""
        return self.loss_weight * multi_label_soft_margin_loss(
            scores, targets, self.class_weight
        )


@MODELS.register_module()
class CrossEntropyLoss(_WeightedLoss):
    """Softmax cross entropy for sets with one label an image.

    Args:
        loss_weight: Factor of the loss.
        class_weight: One weight a class.
    """

    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of logits (N, C) and probabilities (N, C).

        It is the mean over the N images, also with class weights, and 0 of
        no images.
        """
        if not len(scores):
            return scores.sum()
        return self.loss_weight * F.cross_entropy(
            scores, targets, weight=self.class_weight
        )
