"""Tests of the losses of heads."""

import math
from typing import Any, Dict, List, Tuple

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from mmwsl.models.losses import (
    CountLoss,
    CrossEntropyLoss,
    MultiLabelSoftMarginLoss,
    RankingLoss,
    SpatialLoss,
    count_loss,
    integral_attention_loss,
    multi_label_soft_margin_loss,
    ranking_loss,
    spatial_loss,
)
from mmwsl.registry import MODELS

SCORES = [[2.0, -1.0, 0.0], [0.5, 0.0, -3.0]]
TARGETS = [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]


def _written_out(weights: tuple, positive: tuple = (1, 1, 1)) -> float:
    total = 0.0
    for scores, targets in zip(SCORES, TARGETS):
        for score, target, weight, more in zip(
            scores, targets, weights, positive
        ):
            probability = 1 / (1 + math.exp(-score))
            total -= weight * (
                more * target * math.log(probability)
                + (1 - target) * math.log(1 - probability)
            )
    return total / 6


def test_soft_margin_equals_the_formula() -> None:
    loss = multi_label_soft_margin_loss(
        torch.tensor(SCORES), torch.tensor(TARGETS)
    )
    assert loss.item() == pytest.approx(_written_out((1, 1, 1)), rel=1e-6)


@pytest.mark.parametrize('positive', [None, [1.0, 3.0, 0.5]])
def test_soft_margin_module_weights(positive: Any) -> None:
    module = MultiLabelSoftMarginLoss(
        0.5, class_weight=[1.0, 2.0, 4.0], pos_weight=positive
    )
    loss = module(torch.tensor(SCORES), torch.tensor(TARGETS))
    assert loss.item() == pytest.approx(
        0.5 * _written_out((1, 2, 4), positive or (1, 1, 1)), rel=1e-6
    )
    assert module.state_dict() == {}


def test_soft_margin_extreme_scores_are_finite() -> None:
    scores = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = multi_label_soft_margin_loss(scores, torch.tensor([[0.0, 1.0]]))
    loss.backward()
    assert loss.item() == pytest.approx(1e4)
    assert torch.isfinite(scores.grad).all()


def test_gradients() -> None:
    scores = torch.tensor(SCORES, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor(TARGETS, dtype=torch.float64)
    assert gradcheck(
        lambda s: multi_label_soft_margin_loss(s, targets), [scores]
    )


def test_cross_entropy_of_multi_hot_rows() -> None:
    loss = CrossEntropyLoss(2.0)(
        torch.tensor([[0.0, math.log(3.0)]]), torch.tensor([[0.0, 1.0]])
    )
    assert loss.item() == pytest.approx(-2 * math.log(0.75), rel=1e-6)


# S0, S and S~ of images: mixed, without S~, without S0, all unknown.
COUNTS = torch.tensor(
    [[0, 1, 3, 5, 0], [0, 0, 2, -1, 4], [9, 6, 1, 2, 7], [-1] * 5]
)


def draw(seed: int = 0) -> Tuple[Tensor, Tensor, Tensor]:
    """Density, mask and predicted counts in double precision."""
    generator = torch.Generator().manual_seed(seed)
    shape = (4, 5, 3, 4)
    density = torch.randn(shape, generator=generator, dtype=torch.float64)
    mask = torch.rand(shape, generator=generator) < 0.4
    mask[1, 2] = False
    pred = 4 * torch.rand(4, 5, generator=generator, dtype=torch.float64)
    return 3 * density, mask, pred


def mean(values: List[Tensor]) -> float:
    return float(sum(values) / len(values)) if values else 0.0


def average_of(groups: List[List[Tensor]], average: str) -> float:
    """Mean of all values, or of the means of the groups that have some."""
    if average == 'batch':
        return mean([value for group in groups for value in group])
    return mean([torch.tensor(mean(group)) for group in groups if group])


def written_out(average: str) -> Dict[str, float]:
    """All losses by loops over images, classes and cells."""
    density, mask, pred = draw()
    found: Dict[str, List[List[Tensor]]] = {
        key: [] for key in ('positive', 'negative', 'mse', 'mse_s', 'rank')
    }
    for n in range(4):
        image: Dict[str, List[Tensor]] = {key: [] for key in found}
        for c in range(5):
            t, p = int(COUNTS[n, c]), pred[n, c]
            cells = density[n, c].flatten()
            if t == 0:
                logs = [torch.log(1 - torch.sigmoid(d)) for d in cells]
                image['negative'].append(-sum(logs) / len(logs))
                image['mse'].append((p - t) ** 2)
            elif 1 <= t <= 4:
                logs = [
                    torch.log(torch.sigmoid(d))
                    for d, b in zip(cells, mask[n, c].flatten())
                    if b
                ]
                if average == 'batch':
                    image['positive'] += [-value for value in logs]
                else:
                    term = -sum(logs) / max(len(logs), 1)
                    image['positive'].append(torch.as_tensor(term))
                image['mse'].append((p - t) ** 2)
                image['mse_s'].append((p - t) ** 2)
            elif t > 4:
                image['rank'].append((5 - p).clamp(min=0))
        for key, values in image.items():
            found[key].append(values)
    return {key: average_of(groups, average) for key, groups in found.items()}


@pytest.mark.parametrize('average', ['image', 'batch'])
def test_written_out(average: str) -> None:
    density, mask, pred = draw()
    positive, negative = spatial_loss(density, mask, COUNTS, average=average)
    actual = dict(
        positive=positive,
        negative=negative,
        mse=count_loss(pred, COUNTS, average=average),
        mse_s=count_loss(pred, COUNTS, include_absent=False, average=average),
        rank=ranking_loss(pred, COUNTS, average=average),
    )
    for key, expected in written_out(average).items():
        assert actual[key].item() == pytest.approx(expected, rel=1e-6), key


def test_known_answers() -> None:
    density = torch.zeros(1, 2, 1, 2)
    counts = torch.tensor([[1, 0]])
    mask = torch.tensor([[[[1, 0]], [[0, 0]]]])
    positive, negative = spatial_loss(density, mask, counts)
    assert positive.item() == pytest.approx(0.6931472)
    assert negative.item() == pytest.approx(0.6931472)
    pred = torch.tensor([[3.0, 1.0]])
    assert count_loss(pred, counts).item() == pytest.approx((4 + 1) / 2)
    assert count_loss(pred, counts, include_absent=False).item() == 4
    assert ranking_loss(pred, torch.tensor([[7, 5]])).item() == 3


@pytest.mark.parametrize('average', ['image', 'batch'])
def test_gradients_counts(average: str) -> None:
    density, mask, pred = draw(1)
    density.requires_grad_()
    pred.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda d: spatial_loss(d, mask, COUNTS, average=average), density
    )
    assert torch.autograd.gradcheck(
        lambda p: (
            count_loss(p, COUNTS, average=average),
            ranking_loss(p, COUNTS, average=average),
        ),
        pred,
    )


def test_no_gradient_through_the_mask() -> None:
    density, mask, _ = draw()
    soft = mask.double().requires_grad_()
    positive, _ = spatial_loss(density.requires_grad_(), soft, COUNTS)
    positive.backward()
    assert soft.grad is None


@pytest.mark.parametrize('average', ['image', 'batch'])
@pytest.mark.parametrize('value', [0, 3, 8, -1])
def test_empty_sets_keep_the_graph(average: str, value: int) -> None:
    density = torch.randn(2, 3, 2, 2, requires_grad=True)
    counts = torch.full((2, 3), value)
    pred = density.sum(dim=(2, 3))
    positive, negative = spatial_loss(
        density, torch.zeros_like(density), counts, average=average
    )
    mse = count_loss(pred, counts, average=average)
    rank = ranking_loss(pred, counts, average=average)
    assert positive.item() == 0
    assert (negative.item() != 0) == (value == 0)
    assert (mse.item() != 0) == (value in (0, 3))
    assert (rank.item() != 0) == (value == 8)
    (positive + negative + mse + rank).backward()
    assert density.grad is not None
    assert density.grad.isfinite().all()


@pytest.mark.parametrize('shape', [(0, 3, 2, 2), (2, 0, 2, 2)])
def test_no_images_or_classes(shape: Tuple[int, ...]) -> None:
    density = torch.randn(shape, requires_grad=True)
    counts = torch.zeros(shape[:2], dtype=torch.long)
    pred = density.sum(dim=(2, 3))
    losses = [*spatial_loss(density, density > 0, counts)]
    losses += [count_loss(pred, counts), ranking_loss(pred, counts)]
    for loss in losses:
        assert loss.item() == 0
        assert loss.requires_grad


def test_exact_counts_above_the_limit_do_not_matter() -> None:
    density, mask, pred = draw()
    losses = []
    for many in (5, 8):
        counts = torch.where(COUNTS > 4, many, COUNTS)
        losses.append(
            [
                *spatial_loss(density, mask, counts),
                count_loss(pred, counts),
                ranking_loss(pred, counts),
            ]
        )
    assert losses[0] == losses[1]


def test_another_limit() -> None:
    pred, counts = torch.tensor([[0.0, 0.0]]), torch.tensor([[2, 3]])
    assert count_loss(pred, counts, max_count=2).item() == 4
    assert ranking_loss(pred, counts, max_count=2).item() == 3


def test_large_values_and_half_precision_stay_finite() -> None:
    density = torch.full((1, 2, 64, 64), 2000.0).half()
    density[0, 0] = -2000
    density.requires_grad_()
    losses = spatial_loss(
        density, torch.ones_like(density), torch.tensor([[1, 0]])
    )
    assert [loss.item() for loss in losses] == [2000, 2000]
    sum(losses).backward()
    assert density.grad is not None
    assert density.grad.isfinite().all()
    # The square leaves the range of half precision.
    pred = torch.tensor([[1000.0]]).half()
    assert count_loss(pred, torch.tensor([[0]])).item() == 1e6


def test_modules() -> None:
    density, mask, pred = draw()
    kwargs: Dict[str, Any] = dict(max_count=3, average='batch')
    spatial = MODELS.build(dict(type='SpatialLoss', loss_weight=2.0, **kwargs))
    assert isinstance(spatial, SpatialLoss)
    expected = spatial_loss(density, mask, COUNTS, **kwargs)
    for actual, value in zip(spatial(density, mask, COUNTS), expected):
        assert actual.item() == pytest.approx(2 * value.item())
    count = CountLoss(loss_weight=3.0, **kwargs)(pred, COUNTS, False)
    value = count_loss(pred, COUNTS, include_absent=False, **kwargs)
    assert count.item() == pytest.approx(3 * value.item())
    rank = RankingLoss(**kwargs)(pred, COUNTS)
    value = ranking_loss(pred, COUNTS, **kwargs)
    assert rank.item() == pytest.approx(0.1 * value.item())


def test_bad_input() -> None:
    density, mask, pred = draw()
    with pytest.raises(ValueError, match="average must .* got 'mean'"):
        count_loss(pred, COUNTS, average='mean')
    with pytest.raises(ValueError, match="average must .* got 'mean'"):
        SpatialLoss(average='mean')
    with pytest.raises(ValueError, match=r'shapes \(4, 5\) and \(4, 4\)'):
        ranking_loss(pred, COUNTS[:, :4])
    with pytest.raises(ValueError, match='mask must have the shape'):
        spatial_loss(density, mask[..., :2], COUNTS)


def attention_by_hand(logits, target):
    attended, rest = [], []
    for m, a in zip(logits.flatten().tolist(), target.flatten().tolist()):
        probability = 1 / (1 + math.exp(-m))
        if a > 0:
            attended.append(-a * math.log(probability))
        else:
            rest.append(-math.log(1 - probability))
    return sum(
        sum(values) / len(values) for values in (attended, rest) if values
    )


@pytest.mark.parametrize('kept', [0.0, 0.4, 1.0])
def test_equals_the_formula(kept):
    logits = 3 * torch.randn(3, 4, 5, dtype=torch.float64)
    target = torch.rand(3, 4, 5).double()
    target[torch.rand(3, 4, 5) >= kept] = 0
    loss = integral_attention_loss(logits, target)
    assert loss.item() == pytest.approx(
        attention_by_hand(logits, target), rel=1e-12
    )


def test_gradients_attention():
    logits = torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, 3, 3).double() * (torch.rand(2, 3, 3) > 0.5)
    assert gradcheck(lambda m: integral_attention_loss(m, target), [logits])


def test_empty_sets_keep_the_graph_attention():
    for shape, value in (((0, 2, 2), 1.0), ((1, 2, 2), 0.0), ((1, 2, 2), 1.0)):
        logits = torch.zeros(shape, requires_grad=True)
        loss = integral_attention_loss(logits, torch.full(shape, value))
        loss.backward()
        assert loss.item() == pytest.approx(math.log(2) if shape[0] else 0)
        assert torch.isfinite(logits.grad).all()


def test_extreme_logits():
    logits = torch.tensor([1e4, -1e4, 1e4, -1e4, 30.0], requires_grad=True)
    target = torch.tensor([0.5, 0.5, 0.0, 0.0, 1.0])
    loss = integral_attention_loss(logits, target)
    loss.backward()
    assert loss.item() == pytest.approx(5e3 / 3 + 1e4 / 2)
    # The tail of the sigmoid is not rounded away.
    assert logits.grad[4].item() == pytest.approx(-math.exp(-30) / 3, rel=1e-4)


def test_half_precision_is_summed_in_single():
    logits = torch.full((1, 300, 300), 2.0, dtype=torch.float16)
    loss = integral_attention_loss(logits, torch.zeros(1, 300, 300))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(math.log(1 + math.exp(2)), rel=1e-5)


def test_module_and_bad_shapes():
    module = MODELS.build(dict(type='IntegralAttentionLoss', loss_weight=3.0))
    loss = module(torch.zeros(1, 1, 1), torch.ones(1, 1, 1))
    assert loss.item() == pytest.approx(3 * math.log(2))
    with pytest.raises(ValueError, match=r'\(1, 2\).*\(2, 1\)'):
        integral_attention_loss(torch.zeros(1, 2), torch.zeros(2, 1))
