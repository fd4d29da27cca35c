"""Tests of peak back-propagation against the written-out formula."""

import copy
import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import peak_reference
from mmwsl.models.backbones import TorchvisionBackbone
from mmwsl.models.layers import peak_backprop, peak_response_maps
from mmwsl.models.layers.peak_graph import TopDownGraph, dense_gradients
from mmwsl.models.layers.peak_mode import TopDownMode
from peak_reference import Residual, reference_maps

SIZE = (27, 34)


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.fc = nn.Linear(channels, channels)

    def forward(self, x):
        scale = self.fc(x.mean((2, 3))).sigmoid()
        return x * scale[:, :, None, None]


class Shuffle(nn.Module):
    """Split, shuffle and join channels, with tensors of other shapes."""

    def forward(self, x):
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        first, second = x.chunk(2, 1)
        return torch.cat([second.relu(), first[:, :, ::1]], 1)


class PadConv(nn.Conv2d):
    """A convolution that pads by itself, as timm's for TensorFlow."""

    def forward(self, x):
        sides = [d * (k - 1) // 2 for d, k in zip(self.dilation, (3, 3))]
        x = F.pad(x, (sides[1], sides[1], sides[0], sides[0]))
        return F.conv2d(
            x, self.weight, self.bias, dilation=self.dilation, groups=1
        )


def bottleneck(ins, width, outs, **conv):
    return nn.Sequential(
        nn.Conv2d(ins, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width, 3, bias=False, **conv),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, outs, 1, bias=False),
        nn.BatchNorm2d(outs),
    )


def resnet():
    return nn.Sequential(
        nn.Conv2d(3, 8, 7, 2, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
        Residual(bottleneck(8, 4, 8, padding=1)),
        nn.ReLU(inplace=True),
        Residual(
            bottleneck(8, 6, 12, stride=2, padding=1, groups=3),
            nn.Sequential(nn.Conv2d(8, 12, 1, 2), nn.BatchNorm2d(12)),
        ),
        nn.ReLU(inplace=True),
        Residual(bottleneck(12, 6, 12, padding=2, dilation=2)),
        nn.ReLU(inplace=True),
        nn.Conv2d(12, 4, 1),
    )


def paddings():
    modes = ('zeros', 'reflect', 'replicate', 'circular')
    return nn.Sequential(
        nn.Conv2d(3, 4, (3, 2), (1, 3), (2, 0)),
        *[
            layer
            for mode in modes
            for layer in (
                nn.Conv2d(4, 4, 3, 1, 2, 2, padding_mode=mode),
                nn.LeakyReLU(),
            )
        ],
        nn.Conv2d(4, 4, (2, 4), padding='same', dilation=(1, 3)),
        nn.Hardswish(),
        nn.Conv2d(4, 4, 4, padding='same', padding_mode='reflect'),
        # Outputs at the border see nothing but padding.
        nn.Conv2d(4, 4, 1, padding=1, stride=2),
        nn.Conv2d(4, 4, 3, padding='valid'),
    )


def mixture():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 2),
        nn.ReLU6(inplace=True),
        nn.AvgPool2d(3, 2, 1),
        nn.Conv2d(6, 6, 3, padding=1, groups=6),
        SqueezeExcite(6),
        Shuffle(),
        nn.InstanceNorm2d(6),
        nn.Conv2d(6, 4, 3, padding=4, dilation=4),
        nn.Upsample(scale_factor=2.5, mode='bilinear', align_corners=True),
    )


def pre_activation():
    # The in-place layer changes what the other way sees, too.
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.ReLU(inplace=True),
        Residual(
            nn.Sequential(nn.SiLU(), nn.Conv2d(4, 4, 5, padding=2), nn.GELU())
        ),
        nn.Conv2d(4, 4, 3, 2),
    )


def build(make, seed=0):
    """Return a network of some kind in eval mode with lively statistics."""
    torch.manual_seed(seed)
    net = make()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    return net.eval()


def draw(net, count=7, batch=2, seed=1):
    """Return images and peaks on their maps, the four corners among them."""
    torch.manual_seed(seed)
    dtype = next(net.parameters()).dtype
    images = torch.randn(batch, 3, *SIZE, dtype=dtype)
    with torch.no_grad():
        _, c, h, w = net(images).shape
    peaks = torch.stack(
        [torch.randint(n, (count,)) for n in (batch, c, h, w)], dim=1
    )
    corners = [(0, 0), (0, w - 1), (h - 1, 0), (h - 1, w - 1)]
    peaks[:4, 2:] = torch.tensor(corners[: len(peaks)])
    return images, peaks


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
    for budget in (1, 3000):
        monkeypatch.setattr(peak_backprop, '_CPU_BUDGET', budget)
        maps = peak_response_maps(net, images, peaks)
        assert maps.dtype == torch.float64
        assert (maps - expected).abs().max() < 1e-12 * scale
    maps = peak_response_maps(net.float(), images, peaks)
    assert maps.dtype == torch.float32
    assert (maps - expected).abs().max() < 1e-5 * scale
    sums = maps.sum((1, 2))
    assert torch.allclose(sums, expected.sum((1, 2)).float(), atol=1e-5)


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


@pytest.mark.parametrize('arch', ['mobilenet_v3_small', 'shufflenet_v2_x0_5'])
def test_graph_equals_autograd_in_backbones(arch):
    torch.manual_seed(0)
    backbone = TorchvisionBackbone(arch, output_stride=16).eval()
    head = nn.Conv2d(backbone.out_channels[-1], 2, 1)
    image = torch.randn(1, 3, 64, 96, requires_grad=True)
    peaks = [(0, 0, 0), (1, 2, 3), (0, 3, 5)]
    with TopDownMode(image, {}):
        maps = head(backbone(image)[-1])
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
    with pytest.warns(DeprecationWarning, match='jit'):
        scripted = nn.Sequential(torch.jit.script(net))
    with pytest.raises(TypeError, match='^0: .*TorchScript'):
        peak_response_maps(scripted, images, peaks)


def test_reference_is_a_distribution():
    # Of one convolution without negative weights all probability arrives.
    net = nn.Conv2d(3, 2, 3, padding=1).double()
    net.weight.data.abs_()
    images, _ = draw(net, batch=1)
    grad = torch.zeros(1, 2, *SIZE, dtype=torch.float64)
    grad[0, 1, 0, 7] = 1
    arrived = peak_reference.down_conv(net, images, grad)
    assert arrived.sum().item() == pytest.approx(1, rel=1e-12)
