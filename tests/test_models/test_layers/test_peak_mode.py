"""The model and its surroundings while the convolutions are others."""

import copy
import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmwsl.models.layers import peak_response_maps
from peak_networks import build, draw, resnet


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
