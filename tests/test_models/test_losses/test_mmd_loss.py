"""Tests of MMD against its formula written as loops."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from mmwsl.models.losses import MMDLoss, mmd
from mmwsl.registry import MODELS


def slow_mmd(source, target, num_kernels, kernel_mul, estimator):
    """One pair of sets as lists of lists."""
    joined = source + target
    count = len(source)

    def gap(x, y):
        return sum((a - b) ** 2 for a, b in zip(x, y))

    gaps = [gap(x, y) for x in joined for y in joined]
    base = sum(gaps) / (2 * count * (2 * count - 1))
    base /= kernel_mul ** (num_kernels // 2)

    def kernel(x, y):
        return sum(
            math.exp(-gap(x, y) / (base * kernel_mul**i))
            for i in range(num_kernels)
        )

    total = 0.0
    for i in range(count):
        others = [(i + 1) % count] if estimator == 'linear' else range(count)
        for j in others:
            total += kernel(source[i], source[j])
            total += kernel(target[i], target[j])
            total -= kernel(source[i], target[j])
            total -= kernel(source[j], target[i])
    return total / (count if estimator == 'linear' else count**2)


def draw(pairs, count, features):
    torch.manual_seed(0)
    source = torch.randn(pairs, count, features, dtype=torch.double)
    target = torch.randn(pairs, count, features, dtype=torch.double) * 2 + 1
    return source, target


@pytest.mark.parametrize('estimator', ['full', 'linear'])
@pytest.mark.parametrize('kernels', [(5, 2.0), (1, 2.0), (4, 3.0)])
@pytest.mark.parametrize('shape', [(3, 6, 4), (2, 1, 3), (2, 2, 1)])
def test_equals_the_formula(estimator, kernels, shape):
    source, target = draw(*shape)
    values = mmd(source, target, *kernels, estimator)
    expected = [
        slow_mmd(s, t, *kernels, estimator)
        for s, t in zip(source.tolist(), target.tolist())
    ]
    assert values.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    single = mmd(source.float(), target.float(), *kernels, estimator)
    assert single.dtype == torch.float32
    assert single.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize('estimator', ['full', 'linear'])
def test_gradient(estimator):
    source, target = draw(2, 4, 3)
    source.requires_grad_()
    target.requires_grad_()
    # The bandwidth is detached, so it must not move with the features.
    bandwidth = []

    def fixed(s, t):
        joined = torch.cat([s, t], dim=1)
        gaps = (joined[:, :, None] - joined[:, None]).square().sum(3)
        if not bandwidth:
            bandwidth.append(gaps.detach().sum((1, 2)) / (8 * 7) / 4)
        scaled = -gaps / bandwidth[0][:, None, None]
        values = sum((scaled / 2**i).exp() for i in range(5))
        ss, tt, st = values[:, :4, :4], values[:, 4:, 4:], values[:, :4, 4:]
        if estimator == 'full':
            return (ss + tt - st - st.transpose(1, 2)).mean((1, 2))
        i, j = range(4), [1, 2, 3, 0]
        parts = ss[:, i, j] + tt[:, i, j] - st[:, i, j] - st[:, j, i]
        return parts.mean(1)

    assert gradcheck(fixed, (source, target))
    expected = torch.autograd.grad(fixed(source, target).sum(), source)[0]
    found = torch.autograd.grad(
        mmd(source, target, estimator=estimator).sum(), source
    )[0]
    assert torch.allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize('estimator', ['full', 'linear'])
def test_gradcheck_at_fixed_bandwidth(estimator):
    """Far pairs that nothing pulls on hold the bandwidth in place."""
    source, target = draw(1, 3, 2)
    anchor = torch.tensor([[[1e4, 0.0]]], dtype=torch.double)

    def loss(s, t):
        return mmd(
            torch.cat([s, anchor], dim=1),
            torch.cat([t, -anchor], dim=1),
            estimator=estimator,
            num_kernels=3,
        )

    inputs = (source.requires_grad_() * 1e3, target.requires_grad_() * 1e3)
    leaves = tuple(x.detach().requires_grad_() for x in inputs)
    assert gradcheck(loss, leaves, eps=1e-2, atol=1e-7, rtol=0.3)


@pytest.mark.parametrize('estimator', ['full', 'linear'])
@pytest.mark.parametrize('offset', [0.0, 30.0])
def test_equal_sets(estimator, offset):
    source, _ = draw(2, 5, 7)
    source = (source.float() + offset).requires_grad_()
    values = mmd(source, source.detach().clone(), estimator=estimator)
    assert values.abs().max() < 1e-5
    values.sum().backward()
    assert source.grad.isfinite().all()


@pytest.mark.parametrize('value', [0.0, 0.1, 17.0])
@pytest.mark.parametrize('estimator', ['full', 'linear'])
def test_all_features_equal(value, estimator):
    """The bandwidth is 0 there, and its rounding must not blow up."""
    source = torch.full((1, 4, 9), value, requires_grad=True)
    values = mmd(source, torch.full((1, 4, 9), value), estimator=estimator)
    assert values.tolist() == pytest.approx([0], abs=1e-5)
    values.sum().backward()
    assert source.grad.abs().max() < 1


def test_no_pairs():
    empty = torch.zeros(0, 4, 3, requires_grad=True)
    values = mmd(empty, empty)
    assert values.shape == (0,)
    values.sum().backward()


def test_mixed_precision():
    source, target = (x.float() for x in draw(2, 6, 40))
    expected = mmd(source, target)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert mmd(source, target).equal(expected)
    halved = mmd(source.bfloat16(), target.bfloat16())
    assert halved.dtype == torch.float32
    assert torch.allclose(halved, expected, rtol=0.05)


def test_module():
    source, target = draw(2, 4, 3)
    module = MODELS.build(
        dict(type='MMDLoss', num_kernels=3, kernel_mul=1.5, estimator='linear')
    )
    assert isinstance(module, MMDLoss)
    assert module(source, target).equal(mmd(source, target, 3, 1.5, 'linear'))


def test_bad_input():
    with pytest.raises(ValueError, match=r'same shape .*\(1, 2, 3\)'):
        mmd(torch.zeros(1, 2, 3), torch.zeros(1, 4, 3))
    with pytest.raises(ValueError, match="estimator must be .* got 'fast'"):
        mmd(torch.zeros(1, 2, 3), torch.zeros(1, 2, 3), estimator='fast')
