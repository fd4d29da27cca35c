"""The rule of the convolutions, computed by hand."""

import pytest
import torch
from torch import nn

import peak_reference
from mmwsl.models.layers import peak_response_maps
from peak_networks import SIZE, draw


def test_by_hand():
    net = nn.Sequential(
        nn.Conv2d(1, 2, (1, 2), bias=True), nn.Conv2d(2, 1, (1, 2))
    )
    net[0].weight.data = torch.tensor([[2.0, 1.0], [-4.0, 1.0]]).view(
        2, 1, 1, 2
    )
    net[0].bias.data = torch.tensor([0.0, 11.0])
    net[1].weight.data = torch.tensor([[1.0, 2.0], [-5.0, 6.0]]).view(
        1, 2, 1, 2
    )
    image = torch.tensor([[[[2.0, 4.0, 3.0]]]])
    # V = [[8, 11], [7, -2]], less its minimum -2: [[10, 13], [9, 0]].
    # W+ = [[1, 2], [0, 6]]: shares 10, 26, 0, 0 of 36.
    # U less 2: [0, 2, 1]. The first channel's cell 0 gets 0 and 2 of 2, its
    # cell 1 gets 4 and 1 of 5. The second channel is not reached.
    expected = [0, (10 * 1 + 26 * 4 / 5) / 36, 26 / 5 / 36]
    maps = peak_response_maps(net, image, torch.tensor([[0, 0, 0, 0]]))
    assert maps[0, 0].tolist() == pytest.approx(expected, rel=1e-6)


def test_one_by_one_convolution_by_hand():
    net = nn.Conv2d(3, 2, 1)
    net.weight.data = torch.tensor([[1.0, -1.0, 2.0], [-1.0, -2.0, -3.0]])
    net.weight.data = net.weight.data.view(2, 3, 1, 1)
    image = torch.rand(1, 3, 4, 5)
    peaks = torch.tensor([[0, 0, 1, 2], [0, 1, 1, 2]])
    maps = peak_response_maps(net, image, peaks)
    expected = torch.zeros(2, 4, 5)
    # Class 1 has no positive weight: nothing flows.
    expected[0, 1, 2] = 1
    assert torch.equal(maps, expected)


def test_reference_is_a_distribution():
    # Of one convolution without negative weights all probability arrives.
    net = nn.Conv2d(3, 2, 3, padding=1).double()
    net.weight.data.abs_()
    images, _ = draw(net, batch=1)
    grad = torch.zeros(1, 2, *SIZE, dtype=torch.float64)
    grad[0, 1, 0, 7] = 1
    arrived = peak_reference.down_conv(net, images, grad)
    assert arrived.sum().item() == pytest.approx(1, rel=1e-12)
