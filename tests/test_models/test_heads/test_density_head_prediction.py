"""Counts, densities, peaks and instances that the density head predicts."""

from typing import List

import pytest
import torch
from torch import Tensor

from density_stubs import as_view, losses_of, make_head, make_sample
from mmwsl.models.heads import DensityHead


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
    calls = head.peak_instances.growth.calls
    assert calls[0]['density'].shape == (2, 4, 4)
    assert 'pred_instances' in sample


class Listed(torch.nn.Module):
    """A backbone that does nothing."""

    def forward(self, inputs: Tensor) -> List[Tensor]:
        return [inputs]
