"""Tests of peak back-propagation."""

import copy
import threading
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import peak_reference
from mmwsl.models.layers import peak_backprop, peak_response_maps
from peak_networks import (
    SIZE,
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
        monkeypatch.setattr(peak_backprop, 'ONE_BY_ONE', devices)
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
    monkeypatch.setattr(peak_backprop, 'ONE_BY_ONE', ())
    net = build(resnet)
    images, peaks = draw(net, count=11)
    maps = peak_response_maps(net, images, peaks)
    chunked = peak_response_maps(net, images, peaks, chunk_size)
    assert torch.allclose(chunked, maps, rtol=1e-4, atol=1e-8)
    order = torch.randperm(11)
    shuffled = peak_response_maps(net, images, peaks[order], chunk_size)
    assert torch.allclose(shuffled, maps[order], rtol=1e-4, atol=1e-8)


class PadConv(nn.Conv2d):
    """A convolution that pads by itself, as timm's for TensorFlow."""

    def forward(self, x):
        sides = [d * (k - 1) // 2 for d, k in zip(self.dilation, (3, 3))]
        x = F.pad(x, (sides[1], sides[1], sides[0], sides[0]))
        return F.conv2d(
            x, self.weight, self.bias, dilation=self.dilation, groups=1
        )


def state(net):
    """Return what must not change."""
    return (
        [m.training for m in net.modules()],
        [p.requires_grad for p in net.parameters()],
        [p.grad for p in net.parameters()],
        [p._version for p in net.parameters()],
        [b._version for b in net.buffers()],
        [sorted(vars(m)) for m in net.modules()],
        [len(m._forward_hooks) for m in net.modules()],
    )


def test_padding_before_a_convolution_is_its_own():
    own = nn.Conv2d(3, 4, 3, padding=2, dilation=2)
    padded = PadConv(3, 4, 3, dilation=2)
    zeros = nn.Sequential(nn.ZeroPad2d(2), nn.Conv2d(3, 4, 3, dilation=2))
    for other in (padded, zeros[1]):
        other.load_state_dict(own.state_dict())
    images, peaks = draw(own)
    images += 5
    expected = peak_response_maps(own, images, peaks)
    for net in (padded, zeros):
        maps = peak_response_maps(net, images, peaks)
        assert torch.allclose(maps, expected, rtol=1e-5, atol=1e-8)


class Leaky(nn.Module):
    """Leaky ReLU by its own function, or by products with its slopes."""

    def __init__(self, plain, inplace):
        super().__init__()
        self.plain, self.inplace = plain, inplace

    def forward(self, x):
        if not self.plain:
            return F.leaky_relu(x, 0.3, inplace=self.inplace)
        slope = torch.where(x > 0, 1.0, 0.3)
        return x.mul_(slope) if self.inplace else x * slope


class Reuse(nn.Module):
    """Use tensors again after they, or what they come from, has changed."""

    def __init__(self, plain, inplace):
        super().__init__()
        self.act = Leaky(plain, inplace)
        self.convs = nn.ModuleList(
            nn.Conv2d(3, 3, 3, 1 + (i == 2), padding=1) for i in range(5)
        )
        self.norm = nn.BatchNorm2d(3).eval()
        self.norm.running_mean += torch.tensor([0.1, -0.2, 0.3])
        self.norm.weight.data = torch.tensor([2.0, -1.0, 0.5])

    def forward(self, x):
        x = x * 1.5
        early = self.convs[0](x)
        x += early
        x = self.act(x)
        y = self.norm(self.convs[1](x))
        z = self.act(y)
        left, right = self.convs[2](z)[:, :1], self.convs[2](x)
        z = self.act(right[:, 1:])
        x = torch.cat([left, z], 1)
        y = self.act(x)
        x = y + right
        after = self.act(x * 1)
        before = x + 1
        x *= 3
        return self.convs[4](after + self.convs[3](x) + before)


@pytest.mark.parametrize('inplace', [False, True])
def test_layers_whose_slopes_are_kept_are_as_others(inplace):
    results = []
    for plain in (True, False):
        torch.manual_seed(3)
        net = Reuse(plain, inplace)
        images, peaks = draw(net)
        results.append(peak_response_maps(net, images, peaks))
    assert results[0].amax() > 0
    assert torch.allclose(*results, rtol=1e-4, atol=1e-8)


def test_surroundings_change_nothing():
    net = build(resnet)
    images, peaks = draw(net)
    maps = peak_response_maps(net, images, peaks)
    assert not maps.requires_grad
    with torch.no_grad():
        assert torch.equal(peak_response_maps(net, images, peaks), maps)
    with torch.inference_mode():
        own = images.clone()
        assert torch.equal(peak_response_maps(net, own, peaks), maps)
        made_here = build(resnet)
        assert torch.equal(peak_response_maps(made_here, own, peaks), maps)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(peak_response_maps(net, images, peaks), maps)
    net.requires_grad_(False)
    assert torch.equal(peak_response_maps(net, images, peaks), maps)
    images.requires_grad_()
    assert torch.equal(peak_response_maps(net, images, peaks), maps)
    assert images.grad is None
    last = copy.deepcopy(net).to(memory_format=torch.channels_last)
    maps_last = peak_response_maps(last, images, peaks)
    assert torch.allclose(maps_last, maps, rtol=1e-3, atol=1e-7)


def test_half_precision_model_runs_in_single():
    net = build(resnet).bfloat16()
    images, peaks = draw(build(resnet))
    maps = peak_response_maps(net, images.bfloat16(), peaks)
    images = images.bfloat16().float()
    assert torch.equal(maps, peak_response_maps(net.float(), images, peaks))


def test_model_is_left_as_it_was():
    net = build(resnet)
    images, peaks = draw(net)
    maps = peak_response_maps(net, images, peaks)
    net.train()
    net[4].body[1].eval()
    net[0].requires_grad_(False)
    net[-1].weight.grad = torch.ones_like(net[-1].weight)
    net.insert(1, nn.Dropout(0.5))
    net[2].register_forward_hook(lambda *_: None)
    before = state(net)
    assert torch.equal(peak_response_maps(net, images, peaks), maps)
    after = state(net)
    assert all(a is b for a, b in zip(before[2], after[2]))
    assert before[:2] + before[3:] == after[:2] + after[3:]
    assert net[-1].weight.grad.eq(1).all()


@pytest.mark.parametrize('error', [RuntimeError, KeyboardInterrupt])
def test_exceptions_leave_the_model_as_it_was(error):
    class Broken(nn.Module):
        def forward(self, x):
            raise error('broken')

    net = build(resnet).train()
    images, peaks = draw(net)
    net.append(Broken())
    before = state(net)
    with torch.no_grad(), pytest.raises(error, match='broken'):
        peak_response_maps(net, images, peaks)
    assert state(net) == before
    assert torch.is_grad_enabled()
    weight = net[0].weight
    assert F.conv2d(images, weight).grad_fn.name() == 'ConvolutionBackward0'


def test_other_threads_convolve_as_ever():
    names = []

    class Spy(nn.Module):
        def forward(self, x):
            weight = torch.rand(1, 3, 1, 1, requires_grad=True)

            def work():
                names.append(F.conv2d(x.detach(), weight).grad_fn.name())

            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            return x

    net = nn.Sequential(Spy(), nn.Conv2d(3, 2, 1))
    peak_response_maps(net, torch.rand(1, 3, 4, 4), torch.zeros(1, 4).long())
    assert names == ['ConvolutionBackward0']


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
