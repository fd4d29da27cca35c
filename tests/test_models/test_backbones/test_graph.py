import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmwsl.models.backbones.graph import (
    find_stages,
    nominal_strides,
    pair,
    split_targets,
    trace,
    truncate,
)


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


def analyse():
    model = Toy()
    graph = trace(model, 'forward')
    return model, graph, nominal_strides(model, graph)


def test_nominal_strides():
    _, graph, strides = analyse()
    named = {node.name: strides[node] for node in graph.nodes}
    assert named['x'] == 1
    assert (named['stem'], named['down']) == (2, 4)
    assert named['squeeze_1'] is None
    assert named['mul'] == 4
    assert (named['left'], named['right'], named['add']) == (8, 8, 8)
    assert named['scale'] is None
    assert named['fc'] == 16
    assert named['mean'] is None


def test_functional_pooling_becomes_a_module():
    model, graph, _ = analyse()
    pool = model.get_submodule('max_pool2d')
    assert isinstance(pool, nn.MaxPool2d)
    assert (pool.kernel_size, pool.stride) == (2, 2)
    assert 'max_pool2d' in [node.target for node in graph.nodes]


def test_stages_end_at_cuts_before_the_classifier():
    model, graph, strides = analyse()
    stages = find_stages(model, graph, strides)
    # The pooling alone is no stage, and fc is the classifier.
    assert [stage.node.name for stage in stages] == ['stem', 'mul', 'add']
    assert [stage.stride for stage in stages] == [2, 4, 8]


def test_truncated_graph_and_its_parts():
    model, graph, strides = analyse()
    stages = find_stages(model, graph, strides)
    truncate(model, graph, [stages[1].node])
    parts = split_targets(graph, [stage.node for stage in stages])
    assert parts == [['stem'], ['down', 'squeeze.0', 'squeeze.1'], []]
    *_, last, output = graph.nodes
    assert last.name == 'mul'
    assert output.args == ((last,),)


def test_activation_behind_an_output_no_longer_works_in_place():
    model = nn.Sequential(
        nn.Conv2d(3, 1, 3, 4, 1), nn.ReLU(inplace=True), nn.Conv2d(1, 1, 1)
    )
    graph = trace(model, 'forward')
    conv = list(graph.nodes)[1]
    truncate(model, graph, [conv, list(graph.nodes)[-2]])
    assert model[1].inplace is False


def test_network_without_stages_is_refused():
    model = nn.Sequential(nn.Conv2d(3, 1, 3, 2, 1))
    graph = trace(model, 'forward')
    with pytest.raises(ValueError, match='no stage of stride 4'):
        find_stages(model, graph, nominal_strides(model, graph))


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
        trace(model, 'forward')


def test_pair():
    assert pair(3) == (3, 3)
    assert pair([1, 7]) == (1, 7)
