import cv2
import numpy as np
import pytest
import torch

from mmwsl.visualization.drawing import (
    TRUTH,
    WHITE,
    Tile,
    caption,
    class_colors,
    contact_sheet,
    display_size,
    draw_assignment,
    draw_boxes,
    draw_instances,
    draw_label_map,
    draw_peak_responses,
    draw_peaks,
    draw_score_map,
    draw_text,
    heatmap_overlay,
    instance_colors,
    letterbox,
    note_left_out,
    panel,
    tile_images,
    write_image,
)

IMAGE = np.full((40, 60, 3), 100, np.uint8)
NONE = np.zeros((0, 4))


def flat(height, width, value):
    return np.full((height, width, 3), value, np.uint8)


def test_colors_of_instances_are_distinct_and_always_the_same():
    colors = instance_colors(21).astype(int)
    assert colors[20].tolist() == colors[0].tolist()
    np.testing.assert_array_equal(instance_colors(3), colors[:3])
    # The first ten, what a picture shows, differ most.
    for number, least in ((10, 80), (20, 40)):
        some = colors[:number]
        distance = np.abs(some[:, None] - some).max(-1)
        assert distance[~np.eye(number, dtype=bool)].min() >= least
    assert instance_colors(0).shape == (0, 3)


def test_colors_are_those_of_voc():
    colors = class_colors(count=300)
    assert colors.shape == (300, 3)
    # aeroplane, bicycle, tvmonitor.
    assert colors[[0, 1, 19]].tolist() == [
        [128, 0, 0],
        [0, 128, 0],
        [0, 64, 128],
    ]
    assert class_colors([[1, 2, 3]], 2).tolist() == [[1, 2, 3], [0, 128, 0]]


def test_known_pixels():
    image = np.full((2, 6, 3), 100, np.uint8)
    labels = np.array([[0, 1, 255]])
    result = draw_label_map(image, labels, [[200, 0, 100]], opacity=0.5)
    # The label map is half as large: two pixels for each label.
    assert result[0].tolist() == (
        [[100, 100, 100]] * 2 + [[150, 50, 100]] * 2 + [[224, 224, 192]] * 2
    )
    assert (image == 100).all()


def test_more_labels_than_colors():
    labels = np.array([[300, 1, 0]])
    image = np.zeros((1, 3, 3), np.uint8)
    result = draw_label_map(image, labels, [[9, 9, 9]], opacity=1)
    # 300 repeats VOC's 255 colours: the 45th.
    expected = class_colors()[44]
    np.testing.assert_array_equal(result[0], [expected, [9] * 3, [0] * 3])


@pytest.mark.parametrize('width', [1, 20, 300])
def test_bar_is_above_and_of_one_height(width):
    image = np.full((5, width, 3), 7, np.uint8)
    heights = {
        caption(image, text).shape for text in ('', 'a', 'gj' * 50, 'Ä 猫')
    }
    assert len(heights) == 1
    result = caption(image, 'cat', color=(200, 0, 0))
    np.testing.assert_array_equal(result[-5:], image)
    assert (result[:-5] == 255).any()
    if width > 20:
        bar = result[:-5].astype(int)
        assert (bar[..., 0] - bar[..., 1]).max() > 100


def test_draw_text_stays_inside_and_is_readable():
    for color, ink in (((255, 255, 0), 0), ((0, 0, 90), 255)):
        image = np.full((30, 60, 3), 128, np.uint8)
        draw_text(image, 'cat', (1000, 1000), color)
        assert (image[-1, -1] == color).all()
        # Smoothed strokes come close to the ink.
        assert (np.abs(image.astype(int) - ink).max(-1) < 80).any()


@pytest.mark.parametrize('end', [False, True])
def test_long_captions_are_cut(end):
    image = flat(1, 150, 9)
    long = [caption(image, f'a{"b" * 50}{i}', keep_end=end) for i in '1M']
    assert (long[0] != long[1]).any() == end


@pytest.mark.parametrize(
    ('size', 'expected'),
    [
        ((112, 112), (224, 224)),
        ((300, 350), (300, 350)),
        ((1000, 2000), (200, 400)),
        ((1, 1), (224, 224)),
        ((1, 3000), (1, 400)),
        ((100, 300), (133, 400)),
    ],
)
def test_display_size(size, expected):
    assert display_size(*size, longest=400) == expected


def test_note_of_what_is_left_out():
    tiles = [Tile(flat(40, 120, 0), x) for x in 'ab']
    first, last = note_left_out(tiles, 5)
    assert first is tiles[0]
    assert last.text == 'b'
    rows, columns = np.nonzero(last.image.any(-1))
    assert (rows.max(), columns.max()) == (39, 119)
    assert min(rows.min(), columns.min()) > 0
    assert not tiles[1].image.any()
    assert note_left_out(tiles, 0) == tiles
    assert note_left_out([], 5) == []


def test_letterbox_centres_the_image():
    result = letterbox(flat(2, 4, 9), 4, 4)
    assert result[:, 0, 0].tolist() == [255, 9, 9, 255]


def test_tiles_of_different_sizes():
    images = [flat(1, 2, 1), flat(2, 1, 2), flat(1, 1, 3)]
    result = tile_images(images, columns=2, gap=1)
    assert result.shape == (7, 7, 3)
    assert result[1:3, 1:3, 0].tolist() == [[1, 1], [255, 255]]
    assert result[1:3, 4:6, 0].tolist() == [[2, 255], [2, 255]]
    assert result[4, 1].tolist() == [3, 3, 3]
    assert (result[4:, 2:] == 255).all()


def test_panel_wraps_rows():
    tiles = [Tile(flat(40, 50, 0), str(i)) for i in range(6)]
    one = panel(tiles[:1])
    wide = 5 * 50 + 6 * 4
    assert panel(tiles[:5]).shape == (one.shape[0] + 8, wide, 3)
    assert panel(tiles).shape == (2 * one.shape[0] + 12, wide, 3)


def test_contact_sheet_has_a_row_for_each_image():
    rows = [
        [Tile(flat(30, 40, 0), 'a')] * 2,
        [Tile(flat(300, 40, 0), 'b')] * 9,
    ]
    sheet = contact_sheet(rows, cell=(16, 80), max_tiles=3)
    cells = [Tile(flat(16, 80, 0), 'a')] * 6
    assert sheet.shape == panel(cells, 3).shape
    # The first row ends before the third cell; the second has six more.
    assert (sheet[: sheet.shape[0] // 2, -84:] == 255).all()
    assert (sheet[-6, -6] == 255).all()
    assert not (sheet[-6, 84:170] == 255).all()


def test_box_lines_are_inside_the_box():
    image = flat(10, 12, 0)
    boxes = np.array([[2, 3, 8, 9]])
    result = draw_boxes(image, boxes, [[128, 0, 0]], width=1)
    drawn = np.argwhere(result.any(-1))
    assert drawn.min(0).tolist() == [3, 2]
    assert drawn.max(0).tolist() == [8, 7]
    assert result[3, 2].tolist() == [128, 0, 0]
    assert not result[4:8, 3:7].any()
    assert not image.any()


def test_no_empty_and_outer_boxes():
    np.testing.assert_array_equal(draw_boxes(IMAGE, NONE, []), IMAGE)
    boxes = np.array([[5.0, 5, 5, 5], [-9, -9, 900, 900]])
    assert draw_boxes(IMAGE, boxes, [WHITE] * 2).shape == IMAGE.shape


def test_fill_outline_and_order(masks):
    result = draw_instances(IMAGE, masks[:2], opacity=0.5)
    first, second = instance_colors(2).astype(int)
    # Inside both masks the better one lies on top of the other.
    below = (100 + second) // 2
    np.testing.assert_allclose(result[16, 18], (below + first) / 2, atol=1)
    np.testing.assert_allclose(result[16, 10], (100 + first) / 2, atol=1)
    assert result[16, 8].tolist() == first.tolist()
    assert result[16, 27].tolist() == second.tolist()
    assert (result[:7] == 100).all()
    assert (result[:, 30:] == 100).all()
    assert (IMAGE == 100).all()


def test_holes_are_outlined_and_stay_open():
    mask = np.ones((1, 40, 60), bool)
    mask[:, 15:25, 20:40] = False
    result = draw_instances(IMAGE, mask)
    assert result[14, 30].tolist() == instance_colors(1)[0].tolist()
    assert (result[20, 30] == 100).all()


def test_labels_begin_at_their_objects(masks):
    result = draw_instances(flat(80, 200, 0), masks[:1], ['cat'], opacity=0)
    # At the upper left corner, with a patch of the colour.
    assert (result[17, 28] == instance_colors(1)[0]).all()
    assert not result[:15].any()


def test_no_instance_and_empty_mask(masks):
    for none in (masks[:0], np.zeros((1, 20, 30), bool)):
        result = draw_instances(IMAGE, none)
        np.testing.assert_array_equal(result, IMAGE)
    labelled = draw_instances(IMAGE, np.zeros((1, 20, 30), bool), ['cat'])
    assert (labelled != IMAGE).any()


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


def test_crosses_are_where_the_peaks_are():
    image = draw_peaks(IMAGE, np.array([[10.0, 20.0], [49.6, 9.4]]))
    white = (image == 255).all(-1)
    assert white[20, 10]
    assert white[9, 50]
    rows, columns = np.nonzero((image != IMAGE).any(-1))
    assert rows.max() <= 26
    assert (np.abs(columns - 10) <= 6).sum() == (columns < 30).sum()
    # The rim makes them visible on white, too.
    assert (image == 0).all(-1).any()


@pytest.mark.parametrize('points', [[[-50.0, 500.0]], np.zeros((0, 2))])
def test_peaks_outside_and_none_change_nothing(points):
    np.testing.assert_array_equal(draw_peaks(IMAGE, np.array(points)), IMAGE)


def test_each_response_has_its_color_over_a_darkened_image(blobs):
    result = draw_peak_responses(IMAGE, blobs, darkness=0.5)
    # 15 % of the photograph, half of whose shadow is lifted as far.
    light = 0.15 * 100 * (1 - 0.5 * 0.15)
    for index, color in enumerate(instance_colors(2).astype(int)):
        seen = result[17, 13 + 28 * index]
        np.testing.assert_allclose(seen, 0.85 * color + light, atol=2)
    assert (result[38] == 50).all()


def test_scale_of_a_response_does_not_matter(blobs):
    small = draw_peak_responses(IMAGE, blobs)
    large = draw_peak_responses(IMAGE, 1e4 * blobs)
    np.testing.assert_allclose(small.astype(int), large, atol=1)


def test_common_pixels_mix_colors(blobs):
    twice = np.repeat(blobs[:1], 2, axis=0)
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


def test_boxes_lie_over_the_score_map():
    image, heat = flat(80, 100, 90), np.ones((4, 5), np.float32)
    result = draw_score_map(
        image, heat, np.array([[10, 10, 90, 40]]), np.array([[5, 45, 95, 70]])
    )
    assert result[39, 50].tolist() == list(WHITE)
    assert result[46, 50].tolist() == list(TRUTH)
    np.testing.assert_array_equal(result[42], heatmap_overlay(image, heat)[42])
    plain = draw_score_map(image, heat)
    np.testing.assert_array_equal(plain, heatmap_overlay(image, heat))


def test_cells_have_the_colors_of_their_subsets():
    image = flat(224, 300, 100)
    result = draw_assignment(image, torch.tensor([[0, 1], [2, 0]]))
    # The legend is below the image, a line for each subset.
    assert result.shape == (224 + 3 * 23, 300, 3)
    colors = [result[225 + 23 * i, -1].astype(int) for i in range(3)]
    assert len({tuple(color) for color in colors}) == 3
    for y, x, kind in ((5, 5, 0), (5, 290, 1), (200, 5, 2), (200, 290, 0)):
        seen = (colors[kind] + 100) / 2
        np.testing.assert_allclose(result[y, x], seen, atol=1)
    # Borders of cells are sharp.
    assert result[5, 149].tolist() != result[5, 150].tolist()
    assert (image == 100).all()


def test_legend_tells_shares():
    cells = ([[0, 1, 2, 2]], [[2, 2, 1, 0]], [[0, 0, 2, 2]])
    one, same, other = (draw_assignment(IMAGE, np.array(x)) for x in cells)
    np.testing.assert_array_equal(one[-69:], same[-69:])
    assert (one[-69:] != other[-69:]).any()


@pytest.mark.parametrize('size', [(64, 64), (500, 60), (1, 1)])
def test_assignment_of_small_and_narrow_images(size):
    result = draw_assignment(flat(*size, 0), np.zeros((2, 2), int))
    assert max(result.shape[:2]) >= 224


@pytest.mark.parametrize(
    'wrong',
    [torch.zeros(1, 2, 2).long(), torch.tensor([[0, 3]]), np.array([[-1]])],
)
def test_no_assignment(wrong):
    with pytest.raises(ValueError, match='assignment'):
        draw_assignment(IMAGE, wrong)


def test_image_is_read_back_in_rgb(tmp_path):
    image = np.zeros((2, 3, 3), np.uint8)
    image[..., 0] = 200
    path = tmp_path / 'new' / 'ä.png'
    write_image(str(path), image)
    data = np.frombuffer(path.read_bytes(), np.uint8)
    read = cv2.imdecode(data, cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(read[..., ::-1], image)


def test_unknown_suffix(tmp_path):
    with pytest.raises(ValueError, match='a.nothing'):
        write_image(str(tmp_path / 'a.nothing'), flat(1, 1, 0))
