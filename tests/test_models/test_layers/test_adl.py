"""Tests of attention-based dropout."""

import pytest
import torch

from mmwsl.models.layers import ADL

# Attention 1, 3, 4 and, in the second image, 0, 0, 2.
X = torch.tensor(
    [[[[0.0, 2.0, 6.0]], [[2.0, 4.0, 2.0]]], [[[0, 0, 4]], [[0, 0, 0]]]]
)


def test_drops_where_the_attention_is_high():
    found = ADL(drop_rate=1.0, threshold=0.75)(X)
    expected = X.clone()
    expected[0, ..., 1:] = 0
    expected[1, ..., 2] = 0
    assert found.equal(expected)


def test_importance():
    found = ADL(drop_rate=0.0)(X)
    gates = torch.tensor([[1.0, 3, 4], [0, 0, 2]]).sigmoid()
    assert torch.allclose(found, X * gates[:, None, None])


def test_rate_and_eval_mode():
    layer = ADL(drop_rate=0.25, threshold=0.5)
    dropped = sum(bool((layer(X)[0, 0, 0, 2] == 0)) for _ in range(400))
    assert 70 < dropped < 130
    assert layer.eval()(X) is X


def test_bad_settings():
    with pytest.raises(ValueError, match=r'drop_rate must be in \[0, 1\]'):
        ADL(drop_rate=1.5)
