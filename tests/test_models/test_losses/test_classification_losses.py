"""Tests of the losses on image-level scores."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from mmwsl.models.losses import (
    CrossEntropyLoss,
    MultiLabelSoftMarginLoss,
    multi_label_soft_margin_loss,
)

SCORES = [[2.0, -1.0, 0.0], [0.5, 0.0, -3.0]]
TARGETS = [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]


def _written_out(weights: tuple) -> float:
    total = 0.0
    for scores, targets in zip(SCORES, TARGETS):
        for score, target, weight in zip(scores, targets, weights):
            probability = 1 / (1 + math.exp(-score))
            total -= weight * (
                target * math.log(probability)
                + (1 - target) * math.log(1 - probability)
            )
    return total / 6


def test_soft_margin_equals_the_formula() -> None:
    loss = multi_label_soft_margin_loss(
        torch.tensor(SCORES), torch.tensor(TARGETS)
    )
    assert loss.item() == pytest.approx(_written_out((1, 1, 1)), rel=1e-6)


def test_soft_margin_module_weights() -> None:
    module = MultiLabelSoftMarginLoss(0.5, class_weight=[1.0, 2.0, 4.0])
    loss = module(torch.tensor(SCORES), torch.tensor(TARGETS))
    assert loss.item() == pytest.approx(
        0.5 * _written_out((1, 2, 4)), rel=1e-6
    )
    assert module.state_dict() == {}


def test_soft_margin_extreme_scores_are_finite() -> None:
    scores = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = multi_label_soft_margin_loss(scores, torch.tensor([[0.0, 1.0]]))
    loss.backward()
    assert loss.item() == pytest.approx(1e4)
    assert torch.isfinite(scores.grad).all()


def test_gradients() -> None:
    scores = torch.tensor(SCORES, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor(TARGETS, dtype=torch.float64)
    assert gradcheck(
        lambda s: multi_label_soft_margin_loss(s, targets), [scores]
    )


def test_cross_entropy_of_multi_hot_rows() -> None:
    loss = CrossEntropyLoss(2.0)(
        torch.tensor([[0.0, math.log(3.0)]]), torch.tensor([[0.0, 1.0]])
    )
    assert loss.item() == pytest.approx(-2 * math.log(0.75), rel=1e-6)
