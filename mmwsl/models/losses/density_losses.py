"""Losses on density maps and counts.

Section 3.2 of "Object Counting and Instance Segmentation with Image-level
Supervision" (https://arxiv.org/abs/1903.02494). Objects of a class are
counted exactly only up to ``max_count``, four in the paper: people see so
many at a glance. The counts t of an image split its classes into

- S0, absent: ``t == 0``;
- S, counted: ``1 <= t <= max_count``;
- S~, many: ``t > max_count``, where only that is used, never t itself;
- left out of all losses: ``t < 0``, an unknown count.

Every loss has two averages: 'image', the mean over a class set within an
image and then over the images where the set is not empty, as the paper
defines it, and 'batch', the mean over the whole batch at once, as the
authors' code does it. With nothing to average a loss is 0 and keeps its
graph.

Shape shorthand: N images, C classes, (h, w) the grid of the maps.
"""

from typing import Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmwsl.registry import MODELS

AVERAGES = ('image', 'batch')


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
    _check(density[..., 0, 0] if density.dim() == 4 else density, counts)
    _check_average(average)
    if mask.shape != density.shape:
        raise ValueError(
            f'mask must have the shape of the density maps, '
            f'{tuple(density.shape)}, got {tuple(mask.shape)}.'
        )
    density = _widen(density)
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
        counts: Whole numbers t_c (N, C); negative where unknown.
        max_count: Largest count that is used as a number.
        include_absent: Whether the set is S0 and S, or S alone, as in the
            first stage of training.
        average: 'image' or 'batch'.

    Returns:
        Scalar.

    Raises:
        ValueError: If the shapes do not fit or ``average`` is unknown.
    """
    _check(pred_counts, counts)
    _check_average(average)
    pred_counts = _widen(pred_counts)
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

    Args:
        pred_counts: Predicted counts t^c (N, C).
        counts: Whole numbers t_c (N, C); negative where unknown.
        max_count: Largest count that is used as a number.
        average: 'image' or 'batch'.

    Returns:
        Scalar.

    Raises:
        ValueError: If the shapes do not fit or ``average`` is unknown.
    """
    _check(pred_counts, counts)
    _check_average(average)
    pred_counts = _widen(pred_counts)
    _, _, many = _class_sets(counts, max_count)
    missing = (max_count + 1 - pred_counts).masked_fill(~many, 0)
    return _mean(missing.clamp(min=0), many, average)


@MODELS.register_module()
class SpatialLoss(nn.Module):
    """Module of :func:`spatial_loss`.

    Args:
        max_count: Largest count that is used as a number.
        average: 'image' or 'batch'.
        loss_weight: Factor of both losses.
    """

    def __init__(
        self,
        max_count: int = 4,
        average: str = 'image',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        _check_average(average)
        self.max_count = max_count
        self.average = average
        self.loss_weight = loss_weight

    def forward(
        self, density: Tensor, mask: Tensor, counts: Tensor
    ) -> Tuple[Tensor, Tensor]:
        """Return the losses (positive, negative)."""
        positive, negative = spatial_loss(
            density, mask, counts, self.max_count, self.average
        )
        return self.loss_weight * positive, self.loss_weight * negative


@MODELS.register_module()
class CountLoss(nn.Module):
    """Module of :func:`count_loss`.

    Args:
        max_count: Largest count that is used as a number.
        average: 'image' or 'batch'.
        loss_weight: Factor of the loss.
    """

    def __init__(
        self,
        max_count: int = 4,
        average: str = 'image',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        _check_average(average)
        self.max_count = max_count
        self.average = average
        self.loss_weight = loss_weight

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
class RankingLoss(nn.Module):
    """Module of :func:`ranking_loss`.

    Args:
        max_count: Largest count that is used as a number.
        average: 'image' or 'batch'.
        loss_weight: Factor of the loss, 0.1 in the paper.
    """

    def __init__(
        self,
        max_count: int = 4,
        average: str = 'image',
        loss_weight: float = 0.1,
    ) -> None:
        super().__init__()
        _check_average(average)
        self.max_count = max_count
        self.average = average
        self.loss_weight = loss_weight

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


def _widen(values: Tensor) -> Tensor:
    """Return values in single precision at least."""
    return values if values.dtype == torch.float64 else values.float()


def _check(values: Tensor, counts: Tensor) -> None:
    if values.dim() != 2 or counts.shape != values.shape:
        raise ValueError(
            'predictions and counts must have the same N and C, got the '
            f'shapes {tuple(values.shape)} and {tuple(counts.shape)}.'
        )


def _check_average(average: str) -> None:
    if average not in AVERAGES:
        raise ValueError(
            f"average must be one of {AVERAGES}, got '{average}'."
        )
