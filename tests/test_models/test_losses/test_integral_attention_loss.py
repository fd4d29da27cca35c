"""Tests of the loss that learns accumulated attention."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from mmwsl.models.losses import integral_attention_loss
from mmwsl.registry import MODELS


def written_out(logits, target):
    attended, rest = [], []
    for m, a in zip(logits.flatten().tolist(), target.flatten().tolist()):
        probability = 1 / (1 + math.exp(-m))
        if a > 0:
            attended.append(-a * math.log(probability))
        else:
            rest.append(-math.log(1 - probability))
    return sum(
        sum(values) / len(values) for values in (attended, rest) if values
    )


@pytest.mark.parametrize('kept', [0.0, 0.4, 1.0])
def test_equals_the_formula(kept):
    logits = 3 * torch.randn(3, 4, 5, dtype=torch.float64)
    target = torch.rand(3, 4, 5).double()
    target[torch.rand(3, 4, 5) >= kept] = 0
    loss = integral_attention_loss(logits, target)
    assert loss.item() == pytest.approx(written_out(logits, target), rel=1e-12)


def test_gradients():
    logits = torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, 3, 3).double() * (torch.rand(2, 3, 3) > 0.5)
    assert gradcheck(lambda m: integral_attention_loss(m, target), [logits])


def test_empty_sets_keep_the_graph():
    for shape, value in (((0, 2, 2), 1.0), ((1, 2, 2), 0.0), ((1, 2, 2), 1.0)):
        logits = torch.zeros(shape, requires_grad=True)
        loss = integral_attention_loss(logits, torch.full(shape, value))
        loss.backward()
        assert loss.item() == pytest.approx(math.log(2) if shape[0] else 0)
        assert torch.isfinite(logits.grad).all()


def test_extreme_logits():
    logits = torch.tensor([1e4, -1e4, 1e4, -1e4, 30.0], requires_grad=True)
    target = torch.tensor([0.5, 0.5, 0.0, 0.0, 1.0])
    loss = integral_attention_loss(logits, target)
    loss.backward()
    assert loss.item() == pytest.approx(5e3 / 3 + 1e4 / 2)
    # The tail of the sigmoid is not rounded away.
    assert logits.grad[4].item() == pytest.approx(-math.exp(-30) / 3, rel=1e-4)


def test_half_precision_is_summed_in_single():
    logits = torch.full((1, 300, 300), 2.0, dtype=torch.float16)
    loss = integral_attention_loss(logits, torch.zeros(1, 300, 300))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(math.log(1 + math.exp(2)), rel=1e-5)


def test_module_and_bad_shapes():
    module = MODELS.build(dict(type='IntegralAttentionLoss', loss_weight=3.0))
    loss = module(torch.zeros(1, 1, 1), torch.ones(1, 1, 1))
    assert loss.item() == pytest.approx(3 * math.log(2))
    with pytest.raises(ValueError, match=r'\(1, 2\).*\(2, 1\)'):
        integral_attention_loss(torch.zeros(1, 2), torch.zeros(2, 1))
