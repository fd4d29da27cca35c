import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData

from mmwsl.structures import WSLDataSample
from mmwsl.visualization import heatmap_overlay
from mmwsl.visualization.canvas import Canvas
from mmwsl.visualization.caption import WRONG
from mmwsl.visualization.heatmap import heat_map_tiles


def test_hot_places_are_red_and_cold_ones_keep_the_image():
    image = np.full((4, 4, 3), 100, np.uint8)
    heat = np.array([[1.0, 0.0], [0.0, 0.0]])
    result = heatmap_overlay(image, heat, strength=0.5)
    assert result.shape == image.shape
    assert result.dtype == np.uint8
    # Jet ends at RGB (128, 0, 0), half of it over half of the image.
    np.testing.assert_allclose(result[0, 0], [114, 50, 50], atol=1)
    # It starts at (0, 0, 128), of which a quarter is seen.
    np.testing.assert_allclose(result[3, 3], [75, 75, 107], atol=1)
    assert (image == 100).all()


def test_values_outside_and_nan_are_clipped():
    image = np.zeros((1, 3, 3), np.uint8)
    wild = heatmap_overlay(image, np.array([[-5.0, 7.0, np.nan]]))
    tame = heatmap_overlay(image, np.array([[0.0, 1.0, 0.0]]))
    np.testing.assert_array_equal(wild, tame)


@pytest.fixture
def peaky():
    """Three maps of one value each, and peaks of two of their classes."""
    result = WSLDataSample().set_pred_score([0.25, 0.75, 0.5])
    result.pred_map_labels = torch.tensor([2, 0, 1])
    maps = torch.tensor([0.2, 0.0, 0.1])[:, None, None].expand(3, 20, 30)
    result.pred_maps = PixelData(data=maps)
    result.pred_peaks = InstanceData(
        labels=torch.tensor([1, 0, 1]),
        scores=torch.tensor([3.0, 2.0, 1.0]),
        points=torch.tensor([[5.0, 5.0], [20.0, 10.0], [25.0, 15.0]]),
    )
    return result


def test_peaks_are_in_the_maps_of_their_classes(peaky):
    canvas = Canvas(np.full((40, 60, 3), 90, np.uint8), 2.0, 'abc')
    tiles = heat_map_tiles(canvas, peaky, True, 9)
    assert [x.text for x in tiles] == ['b 0.75', 'c 0.50', 'a 0.25']
    white = [(x.image == 255).all(-1) for x in tiles]
    assert [x[10, 10] for x in white] == [True, False, False]
    assert [x[30, 50] for x in white] == [True, False, False]
    assert [x[20, 40] for x in white] == [False, False, True]
    assert not white[1].any()


def test_classes_with_peaks_are_shown_without_a_kept_map(peaky):
    """As classes are that are predicted, but not given by the labels."""
    peaky.pred_map_labels = torch.tensor([2])
    peaky.pred_maps = PixelData(data=peaky.pred_maps.data[:1])
    logits = torch.full((3, 4, 6), -1.0)
    logits[1, 0, 0] = 4
    peaky.pred_class_maps = PixelData(data=logits)
    peaky.set_gt_label([2], 3)
    canvas = Canvas(np.full((40, 60, 3), 90, np.uint8), 2.0, 'abc')
    tiles = heat_map_tiles(canvas, peaky, True, 9)
    assert [x.text for x in tiles] == ['b 0.75', 'c 0.50', 'a 0.25']
    assert [x.color == WRONG for x in tiles] == [True, False, True]
    white = [(x.image == 255).all(-1) for x in tiles]
    assert [x[10, 10] for x in white] == [True, False, False]
    # Hot in the corner, relative to its maximum, and nowhere else.
    assert tiles[0].image[0, 0, 0] > tiles[0].image[0, 0, 2]
    assert tiles[0].image[-1, -1, 2] > tiles[0].image[-1, -1, 0]
    # The class without a positive value.
    np.testing.assert_array_equal(tiles[2].image[0, 0], tiles[0].image[-1, -1])


def test_only_the_best_classes(peaky):
    canvas = Canvas(np.full((40, 60, 3), 90, np.uint8), 2.0, 'abc')
    peaky.pop('pred_peaks')
    tiles = heat_map_tiles(canvas, peaky, True, 2)
    assert [x.text for x in tiles] == ['b 0.75', 'c 0.50']
    # "+1 more" stands in the corner of the last one.
    white = [(x.image == 255).all(-1).any() for x in tiles]
    assert white == [False, True]
