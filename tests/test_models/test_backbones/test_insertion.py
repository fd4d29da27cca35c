"""Tests of layers inserted into backbones."""

import pytest
import torch
from torch import nn

from mmwsl.models.backbones import TorchvisionBackbone
from mmwsl.models.layers import ADL
from mmwsl.registry import MODELS


class Scale(nn.Module):
    """Counts its calls and keeps what it sees."""

    def forward(self, x):
        self.seen = x
        return 2 * x


@pytest.fixture(autouse=True)
def _scale():
    MODELS.register_module(module=Scale, force=True)
    yield
    MODELS._module_dict.pop('Scale')


def make(after, arch='resnet18', layer='Scale', **kwargs):
    insert = [dict(after=name, layer=dict(type=layer)) for name in after]
    return TorchvisionBackbone(arch, insert=insert, **kwargs).eval()


def test_behind_a_stage():
    plain = TorchvisionBackbone('resnet18', out_indices=(1, 2)).eval()
    changed = make(['layer3'], out_indices=(1, 2))
    assert changed.load_state_dict(plain.state_dict())
    image = torch.randn(1, 3, 64, 64)
    (early, late), (same, doubled) = plain(image), changed(image)
    assert same.equal(early)
    assert torch.allclose(doubled, 2 * late)
    assert torch.allclose(changed.net.inserted_0.seen, late)


def test_in_the_midst():
    """What comes later sees the changed features."""
    plain = TorchvisionBackbone('resnet18').eval()
    changed = make(['layer2.0.conv1', 'maxpool'])
    changed.load_state_dict(plain.state_dict())
    features = nn.Sequential(
        plain.net.conv1, plain.net.bn1, nn.ReLU(), plain.net.maxpool
    )
    image = torch.randn(1, 3, 64, 64)
    assert not changed(image)[0].allclose(plain(image)[0])
    seen = changed.net.inserted_1.seen
    assert torch.allclose(seen, features(image), atol=1e-5)
    assert changed.net.inserted_0.seen.shape == (1, 128, 8, 8)


@pytest.mark.parametrize(
    ('arch', 'after'),
    [
        ('resnet50', 'layer3'),
        ('inception_v3', 'Mixed_6e'),
        ('vgg16', 'features.22'),
        ('mobilenet_v2', 'features.13'),
    ],
)
def test_published_backbones(arch, after):
    backbone = make([after], arch, output_stride=16)
    image = torch.randn(1, 3, 96, 96)
    plain = TorchvisionBackbone(arch, output_stride=16).eval()
    plain.load_state_dict(backbone.state_dict())
    with torch.no_grad():
        (found,), (expected,) = backbone(image), plain(image)
    assert backbone.net.inserted_0.seen.shape[2] in (6, 12)
    assert found.shape == expected.shape
    assert not found.equal(expected)


def test_adl_follows_the_mode():
    backbone = make(['layer3'], layer='ADL', output_stride=16)
    assert isinstance(backbone.net.inserted_0, ADL)
    assert backbone.train().net.inserted_0.training
    plain = TorchvisionBackbone('resnet18', output_stride=16).eval()
    plain.load_state_dict(backbone.state_dict())
    image = torch.randn(1, 3, 64, 64)
    assert backbone.eval()(image)[0].equal(plain(image)[0])


def test_bad_input():
    with pytest.raises(ValueError, match="no part 'layer9'.* layer"):
        make(['layer9'])
    with pytest.raises(ValueError, match="no part 'layer4'"):
        make(['layer4'], out_indices=(2,))
    with pytest.raises(ValueError, match="needs 'after' and 'layer'"):
        TorchvisionBackbone('resnet18', insert=[dict(after='layer3')])
    MODELS.register_module('Learned', module=lambda: nn.Conv2d(1, 1, 1))
    linear = [dict(after='layer3', layer=dict(type='Learned'))]
    try:
        with pytest.raises(ValueError, match='Conv2d has parameters'):
            TorchvisionBackbone('resnet18', insert=linear)
    finally:
        MODELS._module_dict.pop('Learned')
