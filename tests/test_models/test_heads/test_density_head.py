"""Tests of the density head, its labels and its predictions."""

import math
from typing import Any, Dict, List, Optional

import pytest
import torch
from torch import Tensor

from density_stubs import as_view, losses_of, make_head, make_sample
from mmwsl.models.heads import DensityHead
from mmwsl.models.heads.density_head import sample_absent, stack_gt_counts
from mmwsl.models.losses import (
    count_loss,
    multi_label_soft_margin_loss,
    ranking_loss,
    spatial_loss,
)
from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample
from peak_stubs import stub_cfg

FEATURE = torch.rand(2, 5, 4, 4, generator=torch.Generator().manual_seed(0))


def test_structure() -> None:
    head = MODELS.build(
        dict(type='DensityHead', num_classes=3, in_channels=5, **stub_cfg())
    )
    head.init_weights()
    # 3 C channels in two halves of 1.5 C, rounded up.
    assert head.shared.weight.shape == (10, 5, 1, 1)
    assert head.classifier.weight.shape == (3, 5, 1, 1)
    assert head.density.weight.shape == (3, 5, 1, 1)
    assert make_head(DensityHead, 4).shared.weight.shape[0] == 12
    assert make_head(hidden_channels=7).shared.weight.shape[0] == 14
    maps = head.eval()((FEATURE,))
    view = head.view_maps((FEATURE,))
    assert view.shape == (2, 6, 4, 4)
    assert torch.equal(view[:, :3], maps)


def test_halves_follow_the_paper() -> None:
    head = make_head(DensityHead).eval()
    shared = torch.einsum(
        'nchw,kc->nkhw', FEATURE, head.shared.weight[..., 0, 0]
    )
    shared = shared + head.shared.bias[:, None, None]
    # BatchNorm with its initial statistics divides by sqrt(1 + eps).
    hidden = (shared / (1 + 1e-5) ** 0.5).clamp(min=0)
    view = head.view_maps((FEATURE,))
    for half, layer, part in (
        (hidden[:, :3], head.classifier, view[:, :2]),
        (hidden[:, 3:], head.density, view[:, 2:]),
    ):
        expected = torch.einsum('nchw,kc->nkhw', half, layer.weight[..., 0, 0])
        expected = expected + layer.bias[:, None, None]
        assert torch.allclose(part, expected, atol=1e-6)


def log_linear_head(**kw: Any) -> Any:
    own = dict(log_linear=True, count_reduction='mean')
    return make_head(DensityHead, **{**own, **kw})


@torch.no_grad()
def test_log_linear_density() -> None:
    """Against a sum over channels, with statistics that are set by hand."""
    head = log_linear_head(mean_counts=[2.0, 5.0]).eval()
    assert head.shared.weight.shape[0] == head.classifier.in_channels == 3
    norm = head.density_norm
    norm.running_mean.copy_(torch.linspace(-2, 2, 5))
    norm.running_var.copy_(torch.linspace(0.1, 0.3, 5))
    weights = torch.tensor([[0.3] * 5, [0.1, 0.2, 0.3, 0.4, 0.5]])
    head.density.weight.copy_(weights[..., None, None])
    head.density.bias.copy_(torch.tensor([-0.8, 1.8]))
    density = head.view_maps((FEATURE,))[:, 2:]
    z = FEATURE - torch.linspace(-2, 2, 5)[:, None, None]
    z = z / (torch.linspace(0.1, 0.3, 5) + 1e-5).sqrt()[:, None, None]
    for c, unit in enumerate((2, 5)):
        weight = head.density.weight[c, :, 0, 0]
        log = head.density.bias[c] + torch.zeros(2, 4, 4)
        for k in range(5):
            log = log + weight[k] * z[:, k]
        assert log.min() < 2 < log.max()
        # From e^2 on a straight line, which meets the curve.
        line = math.exp(2) * (log - 1)
        expected = unit * torch.where(log < 2, log.exp(), line)
        assert torch.allclose(density[:, c], expected, rtol=1e-4, atol=1e-4)


def test_log_linear_densities_begin_at_the_mean_counts() -> None:
    head = DensityHead(
        2,
        5,
        log_linear=True,
        count_reduction='mean',
        mean_counts=[2.0, 30.0],
        **stub_cfg(),
    )
    head.init_weights()
    counts = head.counts(head.view_maps((FEATURE,))[:, 2:])
    expected = torch.tensor([2.0, 30.0]).expand(2, 2)
    assert torch.allclose(counts, expected, rtol=0.05)
    # A checkpoint holds them.
    other = log_linear_head()
    other.load_state_dict(head.state_dict())
    assert torch.equal(other.unit, head.unit)
    with pytest.raises(ValueError, match='log_linear.*mean'):
        log_linear_head(count_reduction='sum')
    with pytest.raises(ValueError, match='mean_counts must be 2 numbers'):
        log_linear_head(mean_counts=[2.0, 30.0, 1.0])


@torch.no_grad()
def test_log_linear_densities_have_features_of_their_own() -> None:
    head = DensityHead(
        2,
        7,
        log_linear=True,
        density_channels=5,
        count_reduction='mean',
        **stub_cfg(),
    ).eval()
    last = torch.rand(2, 7, 4, 4, generator=torch.Generator().manual_seed(1))
    maps = head.view_maps((FEATURE, last))
    assert torch.equal(maps[:, :2], head((last,)))
    alone = log_linear_head().eval()
    alone.density.load_state_dict(head.density.state_dict())
    alone.density_norm.load_state_dict(head.density_norm.state_dict())
    expected = alone.view_maps((FEATURE,))[:, 2:]
    assert torch.allclose(maps[:, 2:], expected, atol=1e-6)


def test_counts_start_near_zero() -> None:
    torch.manual_seed(3)
    head = DensityHead(20, 512, **stub_cfg())
    head.init_weights()
    view = head.view_maps((torch.rand(4, 512, 14, 14),))
    assert head.counts(view[:, 20:]).abs().max() < 5


@pytest.mark.parametrize('average', ['image', 'batch'])
def test_losses(average: str) -> None:
    """All losses against their functions, with the mask made by hand."""
    maps = torch.zeros(2, 2, 4, 4)
    maps[0, 0, 0, 0], maps[0, 0, 0, 3], maps[0, 0, 3, 0] = 5.0, 4.0, 3.0
    maps[1, 1, 2, 2] = 1.0
    generator = torch.Generator().manual_seed(1)
    density = torch.randn(2, 2, 4, 4, generator=generator)
    mask = torch.zeros(2, 2, 4, 4)
    mask[0, 0, 0, 0] = mask[0, 0, 0, 3] = 1
    samples = [make_sample([2, 0]), make_sample([0, 7])]
    counts = torch.tensor([[2, 0], [0, 7]])
    head = make_head(average=average, threshold=0.5)
    actual = losses_of(head, torch.cat([maps, density], 1), samples)
    kwargs: Dict[str, Any] = dict(average=average)
    pred = density.sum(dim=(2, 3))
    positive, negative = spatial_loss(density, mask, counts, **kwargs)
    targets = (counts > 0).float()
    scores = torch.tensor([[4.0, 0.0], [0.0, 1.0]])
    assert actual == pytest.approx(
        dict(
            loss_cls=multi_label_soft_margin_loss(scores, targets).item(),
            loss_count=count_loss(pred, counts, **kwargs).item(),
            loss_rank=0.1 * ranking_loss(pred, counts, **kwargs).item(),
            loss_spatial_pos=positive.item(),
            loss_spatial_neg=negative.item(),
        )
    )


@pytest.mark.parametrize('said', [None, False, True])
def test_two_stages(said: Optional[bool]) -> None:
    head = make_head(spatial_start_epoch=2, count_absent=said)
    view = torch.randn(1, 4, 4, 4)
    pred = view[:, 2:].sum(dim=(2, 3))
    counts = torch.tensor([[2, 0]])
    for epoch, spatial in ((0, False), (1, False), (2, True), (0, False)):
        head.set_epoch(epoch)
        losses = losses_of(head, view, [make_sample([2, 0])])
        assert ('loss_spatial_pos' in losses) == spatial
        assert ('loss_spatial_neg' in losses) == spatial
        absent = spatial if said is None else said
        expected = count_loss(pred, counts, include_absent=absent)
        assert losses['loss_count'] == pytest.approx(expected.item())


def test_a_schedule_without_the_hook_is_noticed(monkeypatch: Any) -> None:
    warnings: List[str] = []
    monkeypatch.setattr(
        'mmwsl.models.heads.cam_head.print_log',
        lambda text, **kwargs: warnings.append(text),
    )
    view = torch.randn(1, 4, 4, 4)
    make_head().loss((view,), [make_sample([2, 0])])
    told = make_head(spatial_start_epoch=2)
    told.set_epoch(0)
    told.loss((view,), [make_sample([2, 0])])
    assert not warnings
    head = make_head(spatial_start_epoch=2)
    for _ in range(2):
        head.loss((view,), [make_sample([2, 0])])
    assert len(warnings) == 1
    assert 'HeadEpochHook' in warnings[0]


def test_exact_counts_above_the_limit_do_not_matter() -> None:
    head, view = make_head(), torch.randn(1, 4, 4, 4)
    five = losses_of(head, view, [make_sample([5, 1])])
    assert five == losses_of(head, view, [make_sample([8, 1])])
    assert five != losses_of(head, view, [make_sample([4, 1])])


def test_a_class_of_difficult_objects_only_is_left_out() -> None:
    """Its label counts for the class score and for nothing else."""
    head, view = make_head(), torch.randn(1, 4, 4, 4)
    known = losses_of(head, view, [make_sample([1, 0], difficult=[1])])
    other = view.clone()
    other[:, 3] += 7
    assert known == losses_of(head, other, [make_sample([1, 0], [1])])
    absent = losses_of(head, view, [make_sample([1, 0])])
    assert known['loss_cls'] != absent['loss_cls']
    assert known['loss_count'] != absent['loss_count']


@pytest.mark.parametrize('average', ['image', 'batch'])
@pytest.mark.parametrize('threshold', ['median', 1e9], ids=['', 'no_peaks'])
@pytest.mark.parametrize('counts', [[0, 0], [9, 9], [3, 0]])
def test_losses_are_finite_and_reach_all_weights(
    counts: List[int], threshold: Any, average: str
) -> None:
    """Also of maps of zeros and of one cell, with fewer peaks than objects."""
    for feature in (FEATURE, 0 * FEATURE, FEATURE[..., :1, :1]):
        head = make_head(DensityHead, threshold=threshold, average=average)
        head.init_weights()
        samples = [make_sample(counts)] * 2
        losses = head.loss((feature,), samples)
        assert len(losses) == 5
        sum(losses.values()).backward()
        for name, parameter in head.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


def test_absent_pairs_are_sampled() -> None:
    torch.manual_seed(0)
    # Class 0 is in all images, class 1 in one of fifty.
    view = torch.zeros(50, 4, 2, 2)
    view[:, 3] = 1.0
    samples = [make_sample([1, int(i == 0)]) for i in range(50)]
    losses = losses_of(make_head(average='batch'), view, samples)
    assert losses['loss_count'] == pytest.approx((50 + 9 + 49 * 16) / 100)
    head = make_head(average='batch', absent_rate=0.1)
    found = losses_of(head, view, samples)['loss_count']
    kept = {
        k: (50 + 9 + k * 16) / (51 + k)
        for k in range(50)
        if found == pytest.approx((50 + 9 + k * 16) / (51 + k), abs=1e-4)
    }
    assert len(kept) == 1
    assert 0 < min(kept) < 15
    # Of the same seed the same are kept; in fewer images it is not rare.
    torch.manual_seed(7)
    first = losses_of(head, view, samples)
    torch.manual_seed(7)
    assert losses_of(head, view, samples) == first
    assert losses_of(head, view[:2], samples[:2])['loss_count'] == 27 / 4


def test_no_counts() -> None:
    sample: Optional[WSLDataSample] = make_sample([1, 0], img_path='x/b.jpg')
    del sample.gt_count
    with pytest.raises(ValueError, match='^x/b.jpg: .*no object counts'):
        make_head().loss((torch.zeros(1, 4, 2, 2),), [sample])
    sample = make_sample([1, 0])
    sample.set_gt_count([1, 0, 0])
    with pytest.raises(ValueError, match='a: .*3 classes, .*num_classes=2'):
        make_head().loss((torch.zeros(1, 4, 2, 2),), [sample])


def test_bad_settings() -> None:
    with pytest.raises(ValueError, match='has no sharpness'):
        make_head(sharpness=2.0)
    with pytest.raises(ValueError, match='count_reduction must be one of'):
        make_head(count_reduction='max')
    other = DensityHead(3, 5, hidden_channels=3, **stub_cfg()).state_dict()
    with pytest.raises(ValueError, match='trained for 3 classes'):
        make_head().load_state_dict(other, strict=False)


def test_counts_and_density() -> None:
    maps = [[[3.0, 0.0], [0.0, 0.0]], [[-3.0, -9.0], [-9.0, -9.0]]]
    density = [[[1.0, 0.5], [0.25, 0.8]], [[1.0, 1.0], [1.0, 1.0]]]
    (sample,) = make_head().predict(
        (as_view(maps, density),), [make_sample([0, 0])]
    )
    # 2.55 is rounded; class 1 is not there.
    assert sample.pred_count.tolist() == [3.0, 0.0]
    assert sample.pred_density.data.sum(dim=(1, 2)).tolist() == pytest.approx(
        [2.55, 4.0]
    )
    assert sample.pred_label.tolist() == [0]
    assert sample.pred_peaks.labels.tolist() == [0]


def test_negative_counts_become_zero() -> None:
    view = as_view([[[3.0]], [[3.0]]], [[[-2.0]], [[0.4]]])
    (sample,) = make_head().predict((view,), [make_sample([0, 0])])
    assert sample.pred_count.tolist() == [0.0, 0.0]


def test_a_score_of_zero_counts_nothing() -> None:
    view = as_view([[[0.0]], [[0.1]]], [[[2.0]], [[2.0]]])
    (sample,) = make_head().predict((view,), [make_sample([0, 0])])
    assert sample.pred_count.tolist() == [0.0, 2.0]


def test_counts_of_single_label_sets() -> None:
    view = as_view([[[-1.0]], [[-3.0]]], [[[2.0]], [[2.0]]])
    head = make_head(multi_label=False)
    (sample,) = head.predict((view,), [make_sample([1, 0])])
    assert sample.pred_count.tolist() == [2.0, 0.0]


def test_padding_is_not_counted() -> None:
    maps = [[[3.0, 0.0], [0.0, 0.0]]] * 2
    density = [[[1.0, 5.0], [2.0, 7.0]]] * 2
    sample = make_sample([0, 0], img_shape=(8, 4), batch_input_shape=(8, 8))
    (sample,) = make_head().predict((as_view(maps, density),), [sample])
    assert sample.pred_count.tolist() == [3.0, 3.0]
    assert sample.pred_density.data.shape == (2, 2, 1)


def test_mirrored_images_give_density_of_the_original() -> None:
    maps = [[[3.0, 0.0]]] * 2
    sample = make_sample([0, 0], flip_direction='horizontal')
    (sample,) = make_head().predict(
        (as_view(maps, [[[1.0, 2.0]]] * 2),), [sample]
    )
    assert sample.pred_density.data.tolist() == [[[2.0, 1.0]]] * 2


def test_views_do_not_count_twice() -> None:
    """A finer view with the same density a cell gives the same count."""
    coarse = torch.cat(
        [torch.ones(1, 2, 4, 4), torch.full((1, 2, 4, 4), 0.25)], 1
    )
    fine = torch.cat(
        [torch.ones(1, 2, 8, 8), torch.full((1, 2, 8, 8), 0.25)], 1
    )
    (sample,) = make_head().predict_views(
        [coarse, fine], [make_sample([0, 0])]
    )
    assert sample.pred_count.tolist() == [4.0, 4.0]
    assert sample.pred_density.data.shape == (2, 4, 4)


def test_the_released_mean() -> None:
    view = as_view([[[3.0, 0.0]]] * 2, [[[6.0, 2.0]], [[2.0, 2.0]]])
    head = make_head(count_reduction='mean')
    (sample,) = head.predict((view,), [make_sample([0, 0])])
    assert sample.pred_count.tolist() == [4.0, 2.0]
    assert sample.pred_density.data.sum(dim=(1, 2)).tolist() == [4.0, 2.0]
    losses = losses_of(head, view, [make_sample([4, 1])])
    assert losses['loss_count'] == 0.5
    sample = make_sample([0, 0], img_shape=(8, 4), batch_input_shape=(8, 8))
    (sample,) = head.predict((view,), [sample])
    assert sample.pred_count.tolist() == [6.0, 2.0]


@pytest.mark.parametrize(('by_count', 'number'), [(False, 3), (True, 2)])
def test_peaks_by_count(by_count: bool, number: int) -> None:
    maps = torch.zeros(1, 2, 5, 5)
    maps[0, 0, ::4, 0] = 3.0
    maps[0, 0, 0, 4] = 2.0
    density = torch.full((1, 2, 5, 5), 0.08)
    head = make_head(peaks_by_count=by_count, peaks=dict(min_ratio=0.5))
    (sample,) = head.predict(
        (torch.cat([maps - 0.01, density], 1),), [make_sample([0, 0])]
    )
    assert sample.pred_count[0] == 2
    assert len(sample.pred_peaks) == number


def test_instances_use_the_density() -> None:
    head = make_head(cls=DensityHead).eval()
    images = torch.rand(1, 5, 4, 4)
    sample = make_sample([1, 0], batch_input_shape=(4, 4), img_shape=(4, 4))
    head.predict((images,), [sample])
    head.predict_instances(
        torch.nn.Sequential(Listed(), head), images, [sample]
    )
    calls = head.growth.calls
    assert calls[0]['density'].shape == (2, 4, 4)
    assert 'pred_instances' in sample


class Listed(torch.nn.Module):
    """A backbone that does nothing."""

    def forward(self, inputs: Tensor) -> List[Tensor]:
        return [inputs]


def counted_sample(labels: list, counts: list) -> WSLDataSample:
    sample = WSLDataSample(metainfo=dict(img_id='a'))
    return sample.set_gt_label(labels, len(counts)).set_gt_count(counts)


def test_counts_of_difficult_objects_are_unknown() -> None:
    samples = [
        counted_sample([0, 2], [3, 0, 0]),
        counted_sample([1], [0, 7, 0]),
    ]
    counts = stack_gt_counts(samples, 3)
    assert counts.tolist() == [[3, 0, -1], [0, 7, 0]]
    assert samples[0].gt_count.tolist() == [3, 0, 0]


def test_absent_pairs_of_rare_classes_are_dropped() -> None:
    counts = torch.zeros(1000, 3, dtype=torch.long)
    counts[:300, 0] = 2
    counts[:299, 1] = 2
    counts[:5, 2] = -1
    kept = sample_absent(counts, rate=0.1, share=0.3)
    assert torch.equal(kept[:, 0], counts[:, 0])
    for c, known in ((1, 299), (2, 5)):
        assert torch.equal(kept[:known, c], counts[:known, c])
        rest = kept[known:, c]
        assert set(rest.tolist()) == {0, -1}
        assert (rest == 0).float().mean().item() == pytest.approx(
            0.1, abs=0.04
        )
    assert sample_absent(counts, rate=1.0, share=0.3) is counts
    assert (sample_absent(counts, 0.0, 1.1)[300:] == -1).all()
