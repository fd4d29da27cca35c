import numpy as np
import pytest

from mmwsl.visualization import (
    Tile,
    contact_sheet,
    display_size,
    letterbox,
    panel,
    tile_images,
)
from mmwsl.visualization.tiles import note_left_out


def flat(height, width, value):
    return np.full((height, width, 3), value, np.uint8)


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


def test_letterbox_centres_the_image():
    result = letterbox(flat(2, 4, 9), 4, 4)
    assert result[:, 0, 0].tolist() == [255, 9, 9, 255]
    assert letterbox(flat(1, 500, 9), 10, 20).shape == (10, 20, 3)


def test_tiles_of_different_sizes():
    images = [flat(1, 2, 1), flat(2, 1, 2), flat(1, 1, 3)]
    result = tile_images(images, columns=2, gap=1, background=0)
    assert result[..., 0].tolist() == [
        [1, 1, 0, 2],
        [0, 0, 0, 2],
        [0, 0, 0, 0],
        [3, 0, 0, 0],
    ]
    assert tile_images(images).shape == (2, 2 + 1 + 1 + 2 * 4, 3)


def test_no_image():
    with pytest.raises(ValueError, match='no image'):
        tile_images([])


def test_panel_wraps_rows():
    tiles = [Tile(flat(40, 50, 0), str(i)) for i in range(6)]
    one = panel(tiles[:1])
    assert panel(tiles[:5]).shape == (one.shape[0], 5 * 50 + 4 * 4, 3)
    assert panel(tiles).shape == (2 * one.shape[0] + 4, 5 * 50 + 4 * 4, 3)


def test_note_of_what_is_left_out():
    tiles = [Tile(flat(40, 120, 0), 'a'), Tile(flat(40, 120, 0), 'b')]
    first, last = note_left_out(tiles, 5)
    assert first is tiles[0]
    assert last.text == 'b'
    rows, columns = np.nonzero(last.image.any(-1))
    assert (rows.max(), columns.max()) == (39, 119)
    assert min(rows.min(), columns.min()) > 0
    assert not tiles[1].image.any()
    assert note_left_out(tiles, 0) == tiles
    assert note_left_out([], 5) == []


def test_contact_sheet_has_a_row_for_each_image():
    rows = [
        [Tile(flat(30, 40, 0), 'a')] * 2,
        [Tile(flat(300, 40, 0), 'b')] * 9,
    ]
    sheet = contact_sheet(rows, cell=(16, 20), max_tiles=3)
    strip = panel([Tile(flat(16, 20, 0), 'a')] * 3)
    assert sheet.shape == (2 * strip.shape[0] + 6, strip.shape[1], 3)
    # The second row has six tiles more, which a note says.
    assert (sheet[-2, -2] == 255).all()
