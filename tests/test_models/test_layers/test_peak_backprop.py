"""Peak response maps against the written-out formula, and bad arguments."""

import warnings

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmwsl.models.layers import peak_response_maps, peak_rules
from peak_networks import (
    build,
    draw,
    mixture,
    paddings,
    pre_activation,
    resnet,
)
from peak_reference import reference_maps


@pytest.mark.parametrize(
    'make',
    [resnet, paddings, mixture, pre_activation],
    ids=lambda f: f.__name__,
)
def test_equals_the_formula(make, monkeypatch):
    net = build(make).double()
    images, peaks = draw(net)
    expected = reference_maps(net, images, peaks)
    # Most peaks reach many pixels.
    assert ((expected > 0).flatten(1).sum(1) > 50).sum() > 4
    scale = expected.max()
    # One by one with windows as on CPUs, and together as elsewhere.
    for devices in (('cpu',), ()):
        monkeypatch.setattr(peak_rules, 'ONE_BY_ONE', devices)
        maps = peak_response_maps(net, images, peaks)
        assert maps.dtype == torch.float64
        assert (maps - expected).abs().max() < 1e-12 * scale
    maps = peak_response_maps(net.float(), images, peaks)
    assert maps.dtype == torch.float32
    assert (maps - expected).abs().max() < 1e-5 * scale
    sums = maps.sum((1, 2))
    assert torch.allclose(sums, expected.sum((1, 2)).float(), atol=1e-5)


def test_other_images_change_nothing():
    net = build(resnet)
    images, peaks = draw(net, batch=3)
    maps = peak_response_maps(net, images, peaks)
    images[0] *= 1e4
    images[2] -= 50
    own = peaks[:, 0] == 1
    again = peak_response_maps(net, images, peaks)
    assert torch.equal(again[own], maps[own])
    alone = peaks[own] * torch.tensor([0, 1, 1, 1])
    assert torch.equal(peak_response_maps(net, images[1:2], alone), maps[own])


def test_no_peaks():
    class Never(nn.Module):
        def forward(self, x):
            raise AssertionError('there is nothing to compute')

    maps = peak_response_maps(
        Never(), torch.rand(2, 3, 5, 7), torch.zeros(0, 4).long()
    )
    assert maps.shape == (0, 5, 7)


@pytest.mark.parametrize('value', [0.0, -3.0, 1e30])
def test_constant_images_give_zeros(value):
    # U less its minimum is 0 everywhere.
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
    images = torch.full((1, 3, 6, 6), value)
    maps = peak_response_maps(net, images, torch.tensor([[0, 1, 2, 2]]))
    assert torch.equal(maps, torch.zeros(1, 6, 6))


def test_very_small_and_large_gradients_are_normalised():
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Conv2d(2, 1, 1))
    images, peaks = draw(net)
    expected = peak_response_maps(net, images, peaks)

    class Times(nn.Module):
        def __init__(self, value):
            super().__init__()
            self.value = value

        def forward(self, x):
            return x * self.value

    for value in (1e-36, 1e36):
        maps = peak_response_maps(
            nn.Sequential(net, Times(value)), images, peaks
        )
        assert torch.allclose(maps, expected, rtol=1e-3, atol=1e-6)


class Deconvolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(3, 2, 2, 2)

    def forward(self, x):
        return self.up(x)


class Rows(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(3, 2, 1)

    def forward(self, x):
        return self.conv(x.flatten(2)).view(len(x), 2, *x.shape[2:])


class Recomputed(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)

    def forward(self, x):
        return checkpoint(self.conv, x, use_reentrant=True)


class Blind(nn.Conv2d):
    @torch.no_grad()
    def forward(self, x):
        return super().forward(x)


@pytest.mark.parametrize(
    ('net', 'error', 'match'),
    [
        (Deconvolution(), TypeError, r'^up\.weight.* conv_transpose2d'),
        (Rows(), TypeError, r'^conv\.weight.* conv1d'),
        (Recomputed(), TypeError, 'checkpointing'),
        (Blind(3, 2, 1), ValueError, 'gradients off'),
        (nn.Sequential(nn.Flatten()), TypeError, r'class maps .* \(1, 48\)'),
        (nn.Conv2d(3, 1, 1), ValueError, r'\[1, 0, 0\].* \(1, 4, 4\)'),
        (lambda x: x, TypeError, 'module, got function'),
    ],
)
def test_bad_models(net, error, match):
    with pytest.raises(error, match=match):
        peak_response_maps(
            net, torch.rand(1, 3, 4, 4), torch.tensor([[0, 1, 0, 0]])
        )


def test_bad_arguments():
    net, images = nn.Conv2d(3, 2, 1), torch.rand(1, 3, 4, 4)
    peaks = torch.zeros(1, 4).long()
    with pytest.raises(TypeError, match='float32'):
        peak_response_maps(net, images, peaks.float())
    with pytest.raises(ValueError, match=r'\(P, 4\), got \(4,\)'):
        peak_response_maps(net, images, peaks[0])
    with pytest.raises(ValueError, match=r'\(N, K, H, W\), got \(3, 4, 4\)'):
        peak_response_maps(net, images[0], peaks)
    with pytest.raises(ValueError, match='got 0'):
        peak_response_maps(net, images, peaks, 0)
    for row in ([1, 0, 0, 0], [-1, 0, 0, 0], [0, 0, 4, 0], [0, 0, 0, -1]):
        with pytest.raises(ValueError, match='peak'):
            peak_response_maps(net, images, torch.tensor([row]))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        scripted = nn.Sequential(torch.jit.script(net))
    with pytest.raises(TypeError, match='^0: .*TorchScript'):
        peak_response_maps(scripted, images, peaks)


@pytest.mark.parametrize('chunk_size', [1, 2, 5, 100])
def test_chunks_change_nothing(chunk_size, monkeypatch):
    monkeypatch.setattr(peak_rules, 'ONE_BY_ONE', ())
    net = build(resnet)
    images, peaks = draw(net, count=11)
    maps = peak_response_maps(net, images, peaks)
    chunked = peak_response_maps(net, images, peaks, chunk_size)
    assert torch.allclose(chunked, maps, rtol=1e-4, atol=1e-8)
    order = torch.randperm(11)
    shuffled = peak_response_maps(net, images, peaks[order], chunk_size)
    assert torch.allclose(shuffled, maps[order], rtol=1e-4, atol=1e-8)
