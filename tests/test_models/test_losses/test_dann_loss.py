"""Tests of the domain-adversarial loss."""

import math

import pytest
import torch

from mmwsl.models.losses import DANNLoss


def make(**kwargs):
    module = DANNLoss(2, **kwargs)
    with torch.no_grad():
        module.discriminator.weight.copy_(torch.tensor([[1.0, -2.0]]))
        module.discriminator.bias.fill_(0.5)
    return module


SOURCE = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
TARGET = torch.tensor([[[2.0, 1.0], [3.0, 0.0]]])
# Logits 1.5, -1.5 and 0.5, 3.5.
EXPECTED = (
    math.log1p(math.exp(-1.5))
    + math.log1p(math.exp(1.5))
    + math.log1p(math.exp(0.5))
    + math.log1p(math.exp(3.5))
) / 4


def test_by_hand():
    values = make()(SOURCE, TARGET)
    assert values.tolist() == pytest.approx([EXPECTED], rel=1e-6)


def test_reversal_and_its_strength():
    grads = {}
    for progress in (0.0, 1.0, 1e3):
        module = make()
        source = SOURCE.clone().requires_grad_()
        module(source, TARGET, progress=progress).sum().backward()
        grads[progress] = source.grad
        weight = module.discriminator.weight.grad
        # The discriminator itself learns at full strength.
        assert weight.abs().sum() > 0.1
    plain = -torch.tensor([[1.0, -2.0], [1.0, -2.0]]) / 4
    plain *= torch.sigmoid(-torch.tensor([[1.5], [-1.5]]))
    assert grads[0.0].abs().sum() == 0
    assert torch.allclose(grads[1e3][0], -plain, atol=1e-6)
    strength = 2 / (1 + math.exp(-1)) - 1
    assert torch.allclose(grads[1.0], strength * grads[1e3], atol=1e-6)


def test_progress_is_counted_and_resumed():
    module = make(speed=0.5)
    for _ in range(3):
        module(SOURCE, TARGET)
    module.eval()(SOURCE, TARGET)
    assert module.num_steps == 3
    resumed = make(speed=0.5)
    resumed.load_state_dict(module.state_dict())
    source, again = SOURCE.clone().requires_grad_(), SOURCE.clone()
    resumed(source, TARGET).sum().backward()
    again.requires_grad_()
    make()(again, TARGET, progress=1.5).sum().backward()
    assert source.grad.equal(again.grad)


def test_no_pairs():
    empty = torch.zeros(0, 3, 2, requires_grad=True)
    make()(empty, empty).sum().backward()
