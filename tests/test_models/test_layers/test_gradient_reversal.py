"""Tests of the gradient reversal."""

import torch

from mmwsl.models.layers import reverse_gradient


def test_values_stay_and_gradients_turn():
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    for strength in (0.25, torch.tensor(0.25)):
        x.grad = None
        y = reverse_gradient(x, strength)
        assert y.equal(x)
        (y * torch.tensor([1.0, 4.0])).sum().backward()
        assert x.grad.tolist() == [-0.25, -1.0]


def test_under_autocast():
    x = torch.ones(2, 2, requires_grad=True)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        (reverse_gradient(x @ torch.eye(2), 0.5)).sum().backward()
    assert x.grad.tolist() == [[-0.5] * 2] * 2
