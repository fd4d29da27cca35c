"""Traced networks: strides, stages, and layers put between them."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmwsl.models.backbones import TorchvisionBackbone
from mmwsl.models.backbones.graph import (
    find_stages,
    pair,
    targets_up_to,
    trace,
    truncate,
)
from mmwsl.models.layers import ADL
from mmwsl.registry import MODELS


class Toy(nn.Module):
    """Stride 2 stem, a squeezed block at 4, a joined block at 8, a pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 2, 1)
        self.down = nn.Conv2d(4, 4, 3, 2, 1)
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1)
        )
        self.left = nn.Conv2d(4, 4, 3, 2, 1)
        self.right = nn.Conv2d(4, 4, 1, 2)
        self.scale = nn.Parameter(torch.ones(4, 1, 1))
        self.fc = nn.Conv2d(4, 7, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.down(self.stem(x))
        x = x * self.squeeze(x)
        x = self.left(x) + self.scale * self.right(x)
        x = F.max_pool2d(x, 2)
        return self.fc(x).mean((2, 3))


def names(nodes):
    return [node.name for node in nodes]


def test_nominal_strides():
    nodes = trace(Toy()).graph.nodes
    strides = {node.name: node.meta['stride'] for node in nodes}
    expected = dict(x=1, stem=2, down=4, squeeze_1=None, mul=4)
    expected.update(left=8, right=8, add=8, scale=None, fc=16, mean=None)
    assert expected.items() <= strides.items()


def test_layers_take_the_geometry_of_published_networks():
    layers = {
        'left|right': dict(stride=1),
        'max_pool2d': dict(kernel_size=3, padding=1, ceil_mode=True),
    }
    model = Toy()
    net = trace(model, layers=layers)
    assert net.get_submodule('left').stride == (1, 1)
    pool = net.get_submodule('max_pool2d')
    assert (pool.kernel_size, pool.padding) == ((3, 3), (1, 1))
    assert pool.ceil_mode
    # Stages follow from what was set.
    nodes = {node.name: node.meta['stride'] for node in net.graph.nodes}
    assert (nodes['add'], nodes['fc']) == (4, 8)
    for layers, words in (
        ({'lef': dict(stride=1)}, "like 'lef'"),
        ({'left': dict(kernel_size=1)}, 'kernel_size of left, a Conv2d'),
        ({'squeeze': dict(stride=1)}, 'stride of squeeze'),
    ):
        with pytest.raises(ValueError, match=words):
            trace(model, layers=layers)


def test_functional_pooling_becomes_a_module():
    net = trace(Toy())
    pool = net.get_submodule('max_pool2d')
    assert isinstance(pool, nn.MaxPool2d)
    assert (pool.kernel_size, pool.stride) == (2, 2)
    assert 'max_pool2d' in [node.target for node in net.graph.nodes]


def test_stages_end_at_cuts_before_the_classifier():
    stages = find_stages(trace(Toy()))
    # The pooling alone is no stage, and fc is the classifier.
    assert names(stages) == ['stem', 'mul', 'add']
    assert [stage.meta['stride'] for stage in stages] == [2, 4, 8]


def test_truncated_graph_and_its_parts():
    net = trace(Toy())
    stages = find_stages(net)
    truncate(net, [stages[1]])
    parts = [targets_up_to(net.graph, stage) for stage in stages]
    whole = ['stem', 'down', 'squeeze.0', 'squeeze.1']
    assert parts == [['stem'], whole, whole]
    *_, last, output = net.graph.nodes
    assert last.name == 'mul'
    assert output.args == ((last,),)


def test_activation_behind_an_output_no_longer_works_in_place():
    model = nn.Sequential(
        nn.Conv2d(3, 1, 3, 4, 1), nn.ReLU(inplace=True), nn.Conv2d(1, 1, 1)
    )
    net = trace(model)
    _, conv, _, last, _ = net.graph.nodes
    truncate(net, [conv, last])
    assert model[1].inplace is False


def test_network_without_stages_is_refused():
    with pytest.raises(ValueError, match='no stage of stride 4'):
        find_stages(trace(nn.Sequential(nn.Conv2d(3, 1, 3, 2, 1))))


class Branching(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


class Dropping(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.dropout(x, training=self.training)


@pytest.mark.parametrize(
    ('model', 'message'),
    [(Branching(), 'Branching cannot be traced'), (Dropping(), 'drop rate')],
)
def test_untraceable_networks_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        trace(model)


def test_pair():
    assert pair(3) == (3, 3)
    assert pair([1, 7]) == (1, 7)


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
    kwargs = dict(output_stride=16)
    if arch == 'vgg16':
        kwargs['arch_cfg'] = dict(init_weights=False)
    backbone = make([after], arch, **kwargs)
    image = torch.randn(1, 3, 96, 96)
    plain = TorchvisionBackbone(arch, **kwargs).eval()
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
