"""Tests of the way from views to maps."""

import pytest
import torch

from mmwsl.models.heads.map_prediction import (
    merge_views,
    normalize_maps,
    unflip,
    valid_cells,
)


def test_views_are_rectified_before_they_are_averaged() -> None:
    first = torch.tensor([[[-4.0, 2.0]]])
    second = torch.tensor([[[1.0, 4.0]]])
    merged = merge_views([first, second], (1, 2))
    assert merged.tolist() == [[[0.5, 3.0]]]


def test_padding_is_cut_off() -> None:
    view = torch.arange(16.0).reshape(1, 4, 4)
    merged = merge_views([view], (2, 3), (2, 3), (4, 4))
    assert merged.tolist() == [[[0.0, 1.0, 2.0], [4.0, 5.0, 6.0]]]


def test_an_image_that_ends_inside_a_cell_keeps_its_geometry() -> None:
    """The padded map, cut by hand, is what an unpadded one would be."""
    ramp = torch.linspace(0, 1, 320)[None, None].expand(1, 32, 320)
    cells = torch.nn.functional.avg_pool2d(ramp[None], 32)[0]
    merged = merge_views([cells], (32, 240), (32, 240), (32, 320))
    assert merged.shape == (1, 32, 240)
    # Away from the ends, where interpolation is flat, the ramp is found.
    assert torch.allclose(merged[0, :, 20:220], ramp[0, :, 20:220], atol=1e-3)


@pytest.mark.parametrize(
    ('image', 'cells'), [(320, 10), (240, 8), (224, 7), (225, 8), (1, 1)]
)
def test_cells_that_see_the_image(image: int, cells: int) -> None:
    maps = torch.zeros(3, 2, 10)
    assert valid_cells(maps, (64, image), (64, 320)).shape == (3, 2, cells)


def test_mirrored_maps_are_turned_back() -> None:
    maps = torch.arange(4.0).reshape(1, 2, 2)
    assert unflip(maps, None).tolist() == maps.tolist()
    assert unflip(maps, 'horizontal').tolist() == [[[1.0, 0.0], [3.0, 2.0]]]
    assert unflip(maps, 'vertical').tolist() == [[[2.0, 3.0], [0.0, 1.0]]]
    assert unflip(maps, 'diagonal').tolist() == [[[3.0, 2.0], [1.0, 0.0]]]


def test_resizing_interpolates() -> None:
    view = torch.tensor([[[0.0, 1.0]]])
    merged = merge_views([view], (1, 4))
    assert merged.flatten().tolist() == [0.0, 0.25, 0.75, 1.0]


def test_half_precision_views_give_single_precision() -> None:
    view = torch.ones(1, 2, 2).half()
    assert merge_views([view], (4, 4)).dtype == torch.float32


def test_no_class_kept() -> None:
    merged = merge_views([torch.zeros(0, 2, 2)], (4, 6))
    assert normalize_maps(merged).shape == (0, 4, 6)


def test_normalisation() -> None:
    maps = torch.tensor([[[1.0, 4.0]], [[0.0, 0.0]], [[1e-9, 0.0]]])
    normalized = normalize_maps(maps)
    assert normalized[0].tolist() == [[0.25, 1.0]]
    assert normalized[1:].abs().sum() == 0
