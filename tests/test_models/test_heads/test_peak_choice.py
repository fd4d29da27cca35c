"""Tests of choosing peaks on maps that can be followed by hand."""

import itertools
from typing import Any, List

import pytest
import torch
from torch import Tensor

from mmwsl.models.heads.peak_instances import (
    PeakChoice,
    UpsampledMaps,
    peak_points,
    peak_rows,
    upsample_maps,
)

# Peaks 9, 6 and 2 of class 0, -1 of class 1.
MAPS = torch.full((2, 5, 5), -8.0)
MAPS[0, 0, 0], MAPS[0, 2, 4], MAPS[0, 4, 1] = 9.0, 6.0, 2.0
MAPS[1, 3, 3] = -1.0
BOTH = torch.tensor([0, 1])


def choose(
    labels: Tensor = BOTH, limits: Any = None, **kwargs: Any
) -> List[float]:
    peaks = PeakChoice(**kwargs)([MAPS], labels, (5, 5), (5, 5), limits)
    return peaks.scores.tolist()


def test_peaks_are_sorted_and_named() -> None:
    peaks = PeakChoice()([MAPS], BOTH, (5, 5), (5, 5))
    assert peaks.labels.tolist() == [0, 0, 0, 1]
    assert peaks.scores.tolist() == [9.0, 6.0, 2.0, -1.0]
    assert peaks.cells.tolist() == [[0, 0], [4, 2], [1, 4], [3, 3]]


def test_classes_and_thresholds() -> None:
    assert choose(labels=torch.tensor([1])) == [-1.0]
    assert choose(labels=torch.tensor([], dtype=torch.long)) == []
    assert choose(min_value=3.0) == [9.0, 6.0]
    assert choose(min_value=10.0) == []
    # A share of a negative maximum is that maximum.
    assert choose(min_ratio=0.5) == [9.0, 6.0, -1.0]
    assert choose(min_ratio=1.0) == [9.0, -1.0]
    assert choose(threshold='max') == [9.0, -1.0]
    assert choose(window=7) == [9.0, 6.0, -1.0]


def test_how_many() -> None:
    assert choose(per_class=1) == [9.0, -1.0]
    assert choose(per_class=2) == [9.0, 6.0, -1.0]
    assert choose(per_image=2) == [9.0, 6.0]
    limits = torch.tensor([1.0, 0.0])
    assert choose(limits=limits) == [9.0]
    assert choose(limits=10 * limits, per_class=2) == [9.0, 6.0]


def test_a_class_without_positive_values_keeps_its_highest_peak() -> None:
    maps = torch.tensor([[[-3.0, -5.0, -4.0]]])
    peaks = PeakChoice()([maps], torch.tensor([0]), (1, 3), (1, 3))
    assert peaks.scores.tolist() == [-3.0]


def test_one_cell_and_zero_maps() -> None:
    for shape in ((3, 1, 1), (3, 4, 4)):
        maps = torch.zeros(shape)
        size = shape[1:]
        for upsample in (1, 4):
            choice = PeakChoice(upsample=upsample)
            peaks = choice([maps], torch.tensor([1]), size, size)
            assert peaks.labels.unique().tolist() == [1]
            assert peaks.scores.abs().sum() == 0


def test_padding_holds_no_peaks() -> None:
    maps = torch.zeros(1, 4, 4)
    maps[0, 3, 3] = 5.0
    maps[0, 1, 1] = 1.0
    label = torch.tensor([0])
    for upsample in (1, 3):
        peaks = PeakChoice(upsample=upsample)(
            [maps], label, (20, 24), (32, 32)
        )
        # Three of four columns and rows see the image: 24 and 20 of 32.
        assert peaks.scores.max() == pytest.approx(1, abs=0.2)
        assert peaks.scores.max() <= 1
        full = PeakChoice(upsample=upsample)([maps], label, (32, 32), (32, 32))
        assert full.scores[0] == 5


def test_visible_cells_of_a_finer_grid() -> None:
    """Those cells count whose values come from cells that see the image."""
    for cells, factor, image in itertools.product(
        (2, 5), (2, 8), (1, 10, 31, 32)
    ):
        maps = torch.arange(cells).float().expand(1, cells, cells)
        fine = upsample_maps(maps[None], factor)[0, 0, 0]
        seen = -(-cells * image // 32)
        expected = int((fine < seen - 1 + 1e-4).sum())
        # Peaks in rising maps lie at the last cell.
        peaks = PeakChoice(upsample=factor)(
            [maps], torch.tensor([0]), (image, image), (32, 32)
        )
        assert peaks.cells[0, 0] == expected - 1, (cells, factor, image)


def test_views_are_averaged_on_the_first_grid() -> None:
    other = torch.zeros(2, 10, 10)
    peaks = PeakChoice()([MAPS, other], BOTH, (5, 5), (5, 5))
    assert peaks.scores.tolist() == [4.5, 3.0, 1.0, -0.5]


@pytest.mark.parametrize(
    ('direction', 'expected'),
    [
        (None, [[2.0, 6.0], [14.0, 2.0]]),
        ('horizontal', [[18.0, 6.0], [6.0, 2.0]]),
        ('vertical', [[2.0, 4.0], [14.0, 8.0]]),
        ('diagonal', [[18.0, 4.0], [6.0, 8.0]]),
    ],
)
def test_points(direction: Any, expected: List) -> None:
    # Cells of 16 x 16; the image is 80 x 40 in the input and 20 x 10 before.
    cells = torch.tensor([[0, 1], [3, 0]])
    points = peak_points(
        cells, (4, 6), 1, (40, 80), (64, 96), (10, 20), direction
    )
    assert points.tolist() == expected


def test_points_of_a_finer_grid_are_those_of_its_values() -> None:
    shapes = ((32, 32), (32, 32), (32, 32))
    cells = torch.tensor([[0, 0], [31, 31]])
    fine = peak_points(cells, (4, 4), 8, *shapes)
    coarse = peak_points(torch.tensor([[0, 0], [3, 3]]), (4, 4), 1, *shapes)
    assert torch.allclose(fine, coarse)


def test_points_stay_in_the_image() -> None:
    points = peak_points(
        torch.tensor([[1, 1]]), (2, 2), 1, (17, 17), (32, 32), (17, 17)
    )
    assert points.tolist() == [[16.5, 16.5]]


def test_rows() -> None:
    empty = (torch.zeros(0).long(), torch.zeros(0, 2).long())
    one = (torch.tensor([4]), torch.tensor([[7, 8]]))
    assert peak_rows([empty, one, one]).tolist() == [
        [1, 4, 8, 7],
        [2, 4, 8, 7],
    ]
    assert peak_rows([empty]).shape == (0, 4)


def test_upsampled_model() -> None:
    model = UpsampledMaps(torch.nn.AvgPool2d(2), 3)
    images = torch.rand(2, 4, 8, 8)
    maps = model(images)
    assert maps.shape == (2, 4, 12, 12)
    corners = maps[..., ::11, ::11]
    coarse = torch.nn.functional.avg_pool2d(images, 2)[..., ::3, ::3]
    assert torch.allclose(corners, coarse, atol=1e-6)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(classes='some'), "peaks.classes must .* got 'some'"),
        (dict(min_ratio=1.5), 'peaks.min_ratio must be from 0 to 1, got 1.5'),
        (dict(per_class=0), 'peaks.per_class must be > 0, got 0'),
        (dict(upsample=0), 'peaks.upsample must be > 0, got 0'),
    ],
)
def test_bad_settings(kwargs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PeakChoice(**kwargs)
