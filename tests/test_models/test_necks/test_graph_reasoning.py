"""Tests of the graph reasoning unit and its neck."""

import pytest
import torch
from torch import nn

from mmwsl.models.necks import GraphReasoningNeck, GraphReasoningUnit
from mmwsl.registry import MODELS


def make_unit(*args, **kwargs):
    """Build a unit in double precision with statistics that matter."""
    unit = GraphReasoningUnit(*args, **kwargs).double().eval()
    with torch.no_grad():
        for values in (unit.norm.running_mean, unit.norm.bias):
            values.normal_()
        for values in (unit.norm.running_var, unit.norm.weight):
            values.uniform_(0.5, 2)
    return unit


def formula(unit, x):
    """Written out for one image (K, h, w)."""
    flat = x.flatten(1)
    ones = torch.ones(1, flat.shape[1], dtype=x.dtype)

    def conv(layer, values):
        out = layer.weight.flatten(1) @ values
        return out if layer.bias is None else out + layer.bias[:, None] * ones

    state, projection = conv(unit.state, flat), conv(unit.projection, flat)
    v = state @ projection.T
    if unit.normalize:
        v = v / flat.shape[1]
    mixed = unit.adjacency.weight.flatten(1) @ v.T
    mixed = mixed + unit.adjacency.bias[:, None]
    z = unit.graph_weight.weight.flatten(1) @ torch.relu(v + mixed.T)
    y = unit.extend.weight.flatten(1) @ (z @ projection)
    norm = unit.norm
    y = (y - norm.running_mean[:, None]) / torch.sqrt(
        norm.running_var[:, None] + 1e-4
    )
    y = y * norm.weight[:, None] + norm.bias[:, None]
    return x + y.reshape(x.shape)


@pytest.mark.parametrize('normalize', [False, True])
@pytest.mark.parametrize('size', [(5, 7), (1, 1)])
def test_equals_the_matrix_formula(normalize, size):
    unit = make_unit(6, num_nodes=3, num_states=4, normalize=normalize)
    x = torch.randn(2, 6, *size, dtype=torch.float64)
    want = torch.stack([formula(unit, image) for image in x])
    torch.testing.assert_close(unit(x), want, rtol=1e-12, atol=1e-12)


def test_parameters():
    unit = GraphReasoningUnit(8, num_nodes=3)
    shapes = {name: tuple(p.shape) for name, p in unit.named_parameters()}
    assert shapes == {
        'state.weight': (6, 8, 1, 1),
        'state.bias': (6,),
        'projection.weight': (3, 8, 1, 1),
        'projection.bias': (3,),
        'adjacency.weight': (3, 3, 1),
        'adjacency.bias': (3,),
        'graph_weight.weight': (6, 6, 1),
        'extend.weight': (8, 6, 1, 1),
        'norm.weight': (8,),
        'norm.bias': (8,),
    }
    assert GraphReasoningUnit(4).state.out_channels == 128


def test_every_parameter_learns():
    unit = GraphReasoningUnit(5, num_nodes=4)
    weight = torch.randn(2, 5, 3, 3)
    (unit(torch.randn(2, 5, 3, 3)) * weight).sum().backward()
    for name, parameter in unit.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_tuples_keep_their_other_tensors():
    unit = make_unit(4, num_nodes=2, in_index=1)
    feats = [
        torch.randn(1, width, 2, 2, dtype=torch.float64) for width in (3, 4, 5)
    ]
    out = unit(feats)
    assert isinstance(out, tuple)
    assert out[0] is feats[0]
    assert out[2] is feats[2]
    torch.testing.assert_close(out[1], unit(feats[1]))
    assert unit(feats[1][:0]).shape == (0, 4, 2, 2)


def test_half_precision_does_not_overflow():
    unit = GraphReasoningUnit(4, num_nodes=2)
    x = torch.full((2, 4, 64, 64), 300.0)
    try:
        with torch.autocast('cpu', dtype=torch.float16):
            pass
    except RuntimeError as error:  # torch 2.1
        pytest.skip(f'{error}')
    with torch.autocast('cpu', dtype=torch.float16):
        out = unit(x)
        half = unit(x.half())
    assert torch.isfinite(out).all()
    assert torch.isfinite(half).all()
    assert half.dtype == torch.float16


@pytest.mark.parametrize('relu', ['before', 'after'])
def test_neck(relu):
    neck = MODELS.build(
        dict(
            type='GraphReasoningNeck',
            in_channels=3,
            channels=4,
            num_nodes=2,
            relu=relu,
        )
    ).eval()
    assert [type(layer) for layer in neck.convs] == [
        nn.Conv2d,
        nn.ReLU,
        nn.Conv2d,
        nn.ReLU,
        nn.Conv2d,
    ]
    x = torch.randn(2, 3, 6, 5)
    (out,) = neck([torch.zeros(1), x])
    before = neck.convs(x)
    if relu == 'before':
        want = neck.graph(before.relu())
    else:
        want = neck.graph(before).relu()
    torch.testing.assert_close(out, want)
    assert out.shape == (2, 4, 6, 5)


def test_bad_arguments():
    with pytest.raises(ValueError, match="'never'"):
        GraphReasoningNeck(3, relu='never')
    with pytest.raises(ValueError, match='num_convs'):
        GraphReasoningNeck(3, num_convs=0)
