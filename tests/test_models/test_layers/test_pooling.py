"""Tests of the poolings."""

import math

import pytest
import torch

from mmwsl.models.layers import global_pool

MAPS = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]], [[0.0, 0.0], [0.0, -4.0]]]])


def test_average_and_maximum() -> None:
    assert global_pool(MAPS, 'avg').tolist() == [[3.0, -1.0]]
    assert global_pool(MAPS, 'max').tolist() == [[6.0, 0.0]]


def test_log_sum_exp() -> None:
    expected = math.log(sum(math.exp(2 * v) for v in (1, 2, 3, 6)) / 4) / 2
    pooled = global_pool(MAPS, 'lse', sharpness=2.0)
    assert pooled[0, 0].item() == pytest.approx(expected, rel=1e-6)


def test_log_sum_exp_limits_and_range() -> None:
    mean = global_pool(MAPS.double(), 'lse', 1e-6)
    assert torch.allclose(mean, MAPS.double().mean((2, 3)), atol=1e-4)
    top = global_pool(1e4 * MAPS, 'lse', 50.0)
    assert torch.allclose(top, 1e4 * MAPS.amax((2, 3)), atol=1.0)


def test_unknown_pooling() -> None:
    with pytest.raises(ValueError, match="'sum'"):
        global_pool(MAPS, 'sum')
