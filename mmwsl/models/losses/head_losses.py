"""The losses of heads: of class scores, of counts and of attention.

Each is a pure function and a thin module. Those of density maps and counts
are from section 3.2 of "Object Counting and Instance Segmentation with
Image-level Supervision" (https://arxiv.org/abs/1903.02494). Objects of a
class are counted exactly only up to ``max_count``, four in the paper: people
see so many at a glance. The counts t of an image split its classes into

- S0, absent: ``t == 0``;
- S, counted: ``1 <= t <= max_count``;
- S~, many: ``t > max_count``, where only that is used, never t itself;
- left out of all losses: ``t < 0``, an unknown count.

They have two averages: 'image', the mean over a class set within an image
and then over the images where the set is not empty, as the paper defines it,
and 'batch', the mean over the whole batch at once, as the authors' code does
it. With nothing to average a loss is 0 and keeps its graph.

Shape shorthand: N images, C classes, (h, w) the grid of the maps.
"""

from typing import Any, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmwsl.registry import MODELS

AVERAGES = ('image', 'batch')


def multi_label_soft_margin_loss(
    scores: Tensor,
    targets: Tensor,
    class_weight: Optional[Tensor] = None,
    pos_weight: Optional[Tensor] = None,
) -> Tensor:
    """Mean binary cross entropy of every image and class.

    ``- mean_n mean_c w_c (p_c y log sigma(s) + (1 - y) log(1 - sigma(s)))``

    Of no images it is 0.

    Args:
        scores: Logits s (N, C).
        targets: Labels y (N, C) in [0, 1].
        class_weight: Weights w (C,), 1 if not given.
        pos_weight: Weights p (C,) of images that show a class, 1 if not
            given.
    """
    if not len(scores):
        return scores.sum()
    if pos_weight is None:
        return F.multilabel_soft_margin_loss(
            scores, targets, weight=class_weight
        )
    return F.binary_cross_entropy_with_logits(
        scores, targets, weight=class_weight, pos_weight=pos_weight
    )


class _ClassificationLoss(nn.Module):
    """Holds the weight of a loss, and those of the classes.

    Args:
        loss_weight: Factor of the loss.
        class_weight: One weight a class.
    """

    class_weight: Optional[Tensor]

    def __init__(
        self,
        loss_weight: float = 1.0,
        class_weight: Optional[Sequence[float]] = None,
    ) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self._keep('class_weight', class_weight)

    def _keep(self, name: str, values: Optional[Sequence[float]]) -> None:
        """Hold weights that the config gives, outside of checkpoints."""
        weight = None
        if values is not None:
            weight = torch.tensor(values, dtype=torch.float32)
        self.register_buffer(name, weight, persistent=False)


@MODELS.register_module()
class MultiLabelSoftMarginLoss(_ClassificationLoss):
    """Module of :func:`multi_label_soft_margin_loss`.

    Args:
        pos_weight: One weight a class for images that show it, for classes
            that few images show; 'auto' in a config is the number of
            training images without the class for each that has it.
        *args: ``loss_weight`` and ``class_weight``.
        **kwargs: The same.
    """

    pos_weight: Optional[Tensor]

    def __init__(
        self,
        *args: Any,
        pos_weight: Optional[Sequence[float]] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._keep('pos_weight', pos_weight)

    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of logits (N, C) and multi-hot labels (N, C)."""
        return self.loss_weight * multi_label_soft_margin_loss(
            scores, targets, self.class_weight, self.pos_weight
        )


@MODELS.register_module()
class CrossEntropyLoss(_ClassificationLoss):
    """Softmax cross entropy for sets with one label an image."""

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


def spatial_loss(
    density: Tensor,
    mask: Tensor,
    counts: Tensor,
    max_count: int = 4,
    average: str = 'image',
) -> Tuple[Tensor, Tensor]:
    """Push density to the peaks of counted classes, away from absent ones.

    Eq. 4 and 5 of the paper, with sigma of the density D of a cell as the
    probability that the cell holds an object::

        positive = - sum_{c in S}  sum(B * log sigma(D)) / (|S| * sum(B))
        negative = - sum_{c in S0} sum(log(1 - sigma(D))) / (|S0| * h * w)

    With ``average='batch'`` the positive one is the mean over all cells of
    all masks, so that a class with more objects weighs more.

    Args:
        density: Density maps D (N, C, h, w), any real numbers.
        mask: B (N, C, h, w), 1 at the highest peaks, else 0. No gradient
            flows through it. A counted class with an empty mask adds 0.
        counts: Whole numbers t (N, C); negative where unknown.
        max_count: Largest count that is used as a number.
        average: 'image' or 'batch'.

    Returns:
        The two losses (positive, negative), scalars.

    Raises:
        ValueError: If the shapes do not fit or ``average`` is unknown.
    """
    density = _checked(density, counts, average, dims=4)
    if mask.shape != density.shape:
        raise ValueError(
            f'mask must have the shape of the density maps, '
            f'{tuple(density.shape)}, got {tuple(mask.shape)}.'
        )
    absent, counted, _ = _class_sets(counts, max_count)
    mask = mask.detach().to(density.dtype) * counted[..., None, None]
    cells = mask.sum(dim=(2, 3))
    attracted = -(mask * F.logsigmoid(density)).sum(dim=(2, 3))
    if average == 'batch':
        positive = attracted.sum() / cells.sum().clamp(min=1)
    else:
        positive = _mean(attracted / cells.clamp(min=1), counted, average)
    # log(1 - sigma(D)) = log sigma(-D), which does not overflow.
    repelled = F.softplus(density).mean(dim=(2, 3))
    return positive, _mean(repelled, absent, average)


def count_loss(
    pred_counts: Tensor,
    counts: Tensor,
    max_count: int = 4,
    include_absent: bool = True,
    average: str = 'image',
) -> Tensor:
    """Mean squared error of the counts that are known exactly (Eq. 6).

    ``sum_{c in S0 u S} (t^c - t_c)^2 / (|S0| + |S|)``

    Args:
        pred_counts: Predicted counts t^c (N, C).
        counts: As for :func:`spatial_loss`, as are the others.
        max_count: Largest count that is used as a number.
        include_absent: Whether the set is S0 and S, or S alone, as in the
            first stage of training.
        average: 'image' or 'batch'.
    """
    pred_counts = _checked(pred_counts, counts, average)
    absent, counted, _ = _class_sets(counts, max_count)
    chosen = absent | counted if include_absent else counted
    # Others become 0 before they are squared, so that nothing of them, not
    # even an infinity, reaches the loss.
    target = counts.clamp(0, max_count).to(pred_counts)
    error = (pred_counts - target).masked_fill(~chosen, 0)
    return _mean(error.square(), chosen, average)


def ranking_loss(
    pred_counts: Tensor,
    counts: Tensor,
    max_count: int = 4,
    average: str = 'image',
) -> Tensor:
    """Demand more than ``max_count`` objects where there are many (Eq. 7).

    ``sum_{c in S~} max(0, max_count + 1 - t^c) / |S~|``

    The arguments are those of :func:`count_loss`.
    """
    pred_counts = _checked(pred_counts, counts, average)
    _, _, many = _class_sets(counts, max_count)
    missing = (max_count + 1 - pred_counts).masked_fill(~many, 0)
    return _mean(missing.clamp(min=0), many, average)


class _CountingLoss(nn.Module):
    """Holds the settings of losses of counts.

    Args:
        max_count: Largest count that is used as a number.
        average: 'image' or 'batch'.
        loss_weight: Factor of the loss, by default 1, and 0.1 of
            :class:`RankingLoss`.
    """

    default_weight = 1.0

    def __init__(
        self,
        max_count: int = 4,
        average: str = 'image',
        loss_weight: Optional[float] = None,
    ) -> None:
        super().__init__()
        _check_average(average)
        self.max_count = max_count
        self.average = average
        if loss_weight is None:
            loss_weight = self.default_weight
        self.loss_weight = loss_weight


@MODELS.register_module()
class SpatialLoss(_CountingLoss):
    """Module of :func:`spatial_loss`."""

    def forward(
        self, density: Tensor, mask: Tensor, counts: Tensor
    ) -> Tuple[Tensor, Tensor]:
        """Return the losses (positive, negative)."""
        positive, negative = spatial_loss(
            density, mask, counts, self.max_count, self.average
        )
        return self.loss_weight * positive, self.loss_weight * negative


@MODELS.register_module()
class CountLoss(_CountingLoss):
    """Module of :func:`count_loss`."""

    def forward(
        self,
        pred_counts: Tensor,
        counts: Tensor,
        include_absent: bool = True,
    ) -> Tensor:
        """Return the loss of predicted and true counts (N, C)."""
        return self.loss_weight * count_loss(
            pred_counts, counts, self.max_count, include_absent, self.average
        )


@MODELS.register_module()
class RankingLoss(_CountingLoss):
    """Module of :func:`ranking_loss`."""

    # The paper's.
    default_weight = 0.1

    def forward(self, pred_counts: Tensor, counts: Tensor) -> Tensor:
        """Return the loss of predicted and true counts (N, C)."""
        return self.loss_weight * ranking_loss(
            pred_counts, counts, self.max_count, self.average
        )


def _class_sets(
    counts: Tensor, max_count: int
) -> Tuple[Tensor, Tensor, Tensor]:
    """Return S0, S and S~ as booleans (N, C)."""
    many = counts > max_count
    return counts == 0, (counts > 0) & ~many, many


def _mean(values: Tensor, chosen: Tensor, average: str) -> Tensor:
    """Average the chosen ones of values (N, C); 0 if there is none."""
    values = values.masked_fill(~chosen, 0)
    number = chosen.sum(dim=1)
    if average == 'batch':
        return values.sum() / number.sum().clamp(min=1)
    per_image = values.sum(dim=1) / number.clamp(min=1)
    return per_image.sum() / (number > 0).sum().clamp(min=1)


def _checked(
    values: Tensor, counts: Tensor, average: str, dims: int = 2
) -> Tensor:
    """Return predictions in single precision at least, if all fits."""
    _check_average(average)
    if values.dim() != dims or counts.shape != values.shape[:2]:
        raise ValueError(
            'predictions and counts must have the same N and C, got the '
            f'shapes {tuple(values.shape)} and {tuple(counts.shape)}.'
        )
    return values if values.dtype == torch.float64 else values.float()


def _check_average(average: str) -> None:
    if average not in AVERAGES:
        raise ValueError(
            f"average must be one of {AVERAGES}, got '{average}'."
        )


def integral_attention_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Loss of the integral model of https://arxiv.org/abs/1909.08212.

    With accumulated attention a and logits m it is the mean over a > 0 of
    ``-a log sigma(m)`` plus the mean over a = 0 of ``-log(1 - sigma(m))``.
    The mean of an empty set is 0.

    Args:
        logits: m, of any shape, usually (N, h, w).
        target: a in [0, 1], of the same shape.

    Returns:
        Scalar, in single precision at least.

    Raises:
        ValueError: If the shapes differ.
    """
    if logits.shape != target.shape:
        raise ValueError(
            f'logits {tuple(logits.shape)} and target {tuple(target.shape)} '
            'differ in shape.'
        )
    if logits.itemsize < 4:
        logits = logits.float()
    target = target.to(logits)
    seen = target > 0
    number = seen.sum()
    # -log(1 - sigma(m)) = softplus(m) and -log sigma(m) = softplus(-m).
    values = F.softplus(torch.where(seen, -logits, logits))
    weight = torch.where(
        seen,
        target / number.clamp(min=1),
        1 / (seen.numel() - number).clamp(min=1).to(target),
    )
    return (weight * values).sum()


@MODELS.register_module()
class IntegralAttentionLoss(nn.Module):
    """Module of :func:`integral_attention_loss`.

    Args:
        loss_weight: Factor of the loss.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of logits and attention (N, h, w)."""
        return self.loss_weight * integral_attention_loss(logits, target)
