"""Tests of the way from views to maps."""

import torch

from mmwsl.models.heads.map_prediction import merge_views, normalize_maps


def test_views_are_rectified_before_they_are_averaged() -> None:
    first = torch.tensor([[[-4.0, 2.0]]])
    second = torch.tensor([[[1.0, 4.0]]])
    merged = merge_views([first, second], (1.0, 1.0), (1, 2))
    assert merged.tolist() == [[[0.5, 3.0]]]


def test_padding_is_cut_off() -> None:
    view = torch.arange(16.0).reshape(1, 4, 4)
    merged = merge_views([view], (0.5, 0.75), (2, 3))
    assert merged.tolist() == [[[0.0, 1.0, 2.0], [4.0, 5.0, 6.0]]]


def test_resizing_interpolates() -> None:
    view = torch.tensor([[[0.0, 1.0]]])
    merged = merge_views([view], (1.0, 1.0), (1, 4))
    assert merged.flatten().tolist() == [0.0, 0.25, 0.75, 1.0]


def test_half_precision_views_give_single_precision() -> None:
    view = torch.ones(1, 2, 2).half()
    assert merge_views([view], (1.0, 1.0), (4, 4)).dtype == torch.float32


def test_no_class_kept() -> None:
    merged = merge_views([torch.zeros(0, 2, 2)], (1.0, 1.0), (4, 6))
    assert normalize_maps(merged).shape == (0, 4, 6)


def test_normalisation() -> None:
    maps = torch.tensor([[[1.0, 4.0]], [[0.0, 0.0]], [[1e-9, 0.0]]])
    normalized = normalize_maps(maps)
    assert normalized[0].tolist() == [[0.25, 1.0]]
    assert normalized[1:].abs().sum() == 0
