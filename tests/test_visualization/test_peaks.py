import numpy as np
import torch
from mmengine.structures import InstanceData

from mmwsl.visualization import draw_peak_responses, draw_peaks
from mmwsl.visualization.canvas import Canvas, instance_colors
from mmwsl.visualization.peaks import response_tiles

IMAGE = np.full((40, 60, 3), 120, np.uint8)


def blobs(count=2):
    """Square responses, one beside the other, that sum to 1."""
    result = np.zeros((count, 40, 60), np.float32)
    for index in range(count):
        result[index, 10:25, 5 + 28 * index : 22 + 28 * index] = 1
    return result / result.sum((1, 2), keepdims=True)


def test_crosses_are_where_the_peaks_are():
    image = IMAGE.copy()
    draw_peaks(image, np.array([[10.0, 20.0], [49.6, 9.4]]))
    white = (image == 255).all(-1)
    assert white[20, 10]
    assert white[9, 50]
    rows, columns = np.nonzero((image != IMAGE).any(-1))
    assert rows.max() <= 26
    assert (np.abs(columns - 10) <= 6).sum() == (columns < 30).sum()
    # The rim makes them visible on white, too.
    assert (image == 0).all(-1).any()


def test_peaks_outside_and_none_change_nothing():
    image = IMAGE.copy()
    draw_peaks(image, np.array([[-50.0, 500.0]]))
    draw_peaks(image, np.zeros((0, 2)))
    np.testing.assert_array_equal(image, IMAGE)


def test_each_response_has_its_color_over_a_darkened_image():
    result = draw_peak_responses(IMAGE, blobs(), darkness=0.5)
    # 15 % of the photograph, half of whose shadow is lifted as far.
    light = 0.15 * 120 * (1 - 0.5 * 0.15)
    for index, color in enumerate(instance_colors(2).astype(int)):
        seen = result[17, 13 + 28 * index]
        np.testing.assert_allclose(seen, 0.85 * color + light, atol=2)
    assert (result[38] == 60).all()


def test_scale_of_a_response_does_not_matter():
    small = draw_peak_responses(IMAGE, blobs())
    large = draw_peak_responses(IMAGE, 1e4 * blobs())
    np.testing.assert_allclose(small.astype(int), large, atol=1)


def test_common_pixels_mix_colors():
    twice = np.repeat(blobs(1), 2, axis=0)
    black = np.zeros_like(IMAGE)
    result = draw_peak_responses(black, twice)
    mixed = 0.85 * instance_colors(2).astype(int).mean(0)
    np.testing.assert_allclose(result[17, 13], mixed, atol=2)


def test_single_pixel_zero_and_broken_maps():
    responses = np.zeros((3, 40, 60), np.float32)
    responses[0, 20, 30] = 1
    responses[2] = np.nan
    result = draw_peak_responses(IMAGE, responses, darkness=1)
    assert result[20, 30].max() > 180
    assert not result[:10].any()
    dark = draw_peak_responses(IMAGE, responses[:0], darkness=1)
    assert not dark.any()


def test_tile_shows_the_first_maps_with_their_peaks():
    maps = torch.from_numpy(blobs(2)[:, ::2, ::2].copy())
    peaks = torch.tensor([[6.0, 8.0], [20.0, 8.0]])
    instances = InstanceData(peak_response_maps=maps, peaks=peaks)
    canvas = Canvas(IMAGE, 2.0)
    (both,) = response_tiles(canvas, instances, 2)
    assert both.text == '2 peak responses'
    assert (both.image[16, [12, 40]] == 255).all()
    (one,) = response_tiles(canvas, instances, 1)
    assert one.text == '1 peak response (+1 more)'
    assert (one.image[16, 12] == 255).all()
    assert (one.image[16, 40] < 100).all()
    instances.pop('peaks')
    (plain,) = response_tiles(canvas, instances, 2)
    assert not (plain.image == 255).all(-1).any()


def test_no_response_is_no_tile():
    canvas = Canvas(IMAGE)
    assert response_tiles(canvas, InstanceData(), 9) == []
    empty = InstanceData(peak_response_maps=torch.zeros(0, 40, 60))
    assert response_tiles(canvas, empty, 9) == []
