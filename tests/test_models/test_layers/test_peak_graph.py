"""The way of many peaks through the network at once."""

import pytest
import torch
from torch import nn

from mmwsl.models.backbones import TorchvisionBackbone
from mmwsl.models.layers import peak_backprop, peak_response_maps
from mmwsl.models.layers.peak_graph import TopDownGraph, dense_gradients
from mmwsl.models.layers.peak_mode import TopDownMode
from peak_networks import build, draw, resnet


@pytest.mark.parametrize('arch', ['mobilenet_v3_small', 'shufflenet_v2_x0_5'])
def test_graph_equals_autograd_in_backbones(arch):
    torch.manual_seed(0)
    backbone = TorchvisionBackbone(arch, output_stride=16).eval()
    head = nn.Conv2d(backbone.out_channels[-1], 2, 1)
    image = torch.randn(1, 3, 64, 96, requires_grad=True)
    peaks = [(0, 0, 0), (1, 2, 3), (0, 3, 5)]
    with TopDownMode(image, {}):
        maps = head(backbone(image)[-1])
    if not hasattr(maps.grad_fn, '_input_metadata'):
        pytest.skip('this torch does not show the shapes in its graph')
    expected = dense_gradients(maps, image, peaks)
    with torch.no_grad():
        grads = TopDownGraph(maps, image).run(peaks, 1 << 14)
    for grad, other in zip(grads, expected):
        assert other.abs().max() > 0
        assert torch.allclose(grad, other, atol=1e-5 * other.abs().max())


def test_without_shapes_in_the_graph(monkeypatch):
    net = build(resnet)
    images, peaks = draw(net)
    expected = peak_response_maps(net, images, peaks)
    monkeypatch.setattr(
        peak_backprop, 'hasattr', lambda *_: False, raising=False
    )
    maps = peak_response_maps(net, images, peaks, 2)
    assert torch.allclose(maps, expected, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize('chunk_size', [1, 2, 5, 100])
def test_chunks_change_nothing(chunk_size):
    net = build(resnet)
    images, peaks = draw(net, count=11)
    maps = peak_response_maps(net, images, peaks)
    chunked = peak_response_maps(net, images, peaks, chunk_size)
    assert torch.allclose(chunked, maps, rtol=1e-4, atol=1e-8)
    order = torch.randperm(11)
    shuffled = peak_response_maps(net, images, peaks[order], chunk_size)
    assert torch.allclose(shuffled, maps[order], rtol=1e-4, atol=1e-8)
