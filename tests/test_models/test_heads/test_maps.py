"""Tests of the way from views to scores and maps."""

import math

import cv2
import numpy as np
import pytest
import torch

from mmwsl.models.heads import CAMHead
from mmwsl.models.heads.maps import (
    global_pool,
    merge_views,
    normalize_maps,
    score_map,
    valid_cells,
)
from mmwsl.structures import WSLDataSample


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


FULL = ((64, 64), (64, 64))


def test_equals_opencv():
    torch.manual_seed(0)
    view = torch.randn(7, 9)
    found = score_map([view], 24, *FULL)
    expected = cv2.resize(
        view.numpy(), (24, 24), interpolation=cv2.INTER_CUBIC
    )
    expected = (expected - expected.min()) / np.ptp(expected)
    assert np.allclose(found, expected, atol=1e-5)
    assert found.min() == 0
    assert found.max() == 1


def test_views_padding_and_flips():
    view = torch.tensor([[1.0, 2.0, 9.0], [3.0, 4.0, 9.0]])
    # The last column sees padding only.
    found = score_map([view, view + 2], 2, (64, 40), (64, 60))
    assert torch.allclose(found, torch.tensor([[0, 1.0], [2, 3]]) / 3)
    turned = score_map([view], 2, (64, 40), (64, 60), 'horizontal')
    assert torch.allclose(turned, found.flip(1))


@pytest.mark.parametrize('value', [0.0, 0.1, -3.3])
def test_constant_map(value):
    assert score_map([torch.full((5, 5), value)], 16, *FULL).eq(0).all()


def test_of_the_given_class_else_of_the_best():
    head = CAMHead(2, 2, multi_label=False, keep='all', score_map_size=2)
    with torch.no_grad():
        head.classifier.weight.copy_(torch.eye(2)[:, :, None, None])
        head.classifier.bias.zero_()
    maps = torch.tensor([[[[0.0, -1.0]] * 2, [[4.0, 6.0]] * 2]])

    def predict(labels):
        meta = dict(img_id='a', ori_shape=(4, 4), img_shape=(4, 4))
        sample = WSLDataSample(metainfo=meta)
        if labels is not None:
            sample.set_gt_label(labels, 2)
        (sample,) = head.predict((maps,), [sample])
        return sample.pred_score_map.data.tolist()

    assert predict([0]) == [[[1.0, 0.0]] * 2]
    assert predict([1]) == [[[0.0, 1.0]] * 2]
    assert predict(None) == predict([0, 1]) == [[[0.0, 1.0]] * 2]
    head.score_map_size = None
    with pytest.raises(AttributeError):
        predict([0])


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
