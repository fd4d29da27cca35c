import numpy as np
import pytest

from mmwsl.visualization.caption import (
    caption,
    corner_note,
    draw_text,
    shorten,
    text_size,
)


def test_shorten_keeps_start_or_end():
    text = 'some/long/path/2007_000033'
    room = text_size(text, 0.5)[0] - 20
    start, end = shorten(text, room, 0.5), shorten(text, room, 0.5, end=True)
    assert start.startswith('some/long')
    assert start.endswith('...')
    assert end.startswith('...')
    assert end.endswith('2007_000033')
    assert max(text_size(x, 0.5)[0] for x in (start, end)) <= room
    assert shorten('cat', 100, 0.5) == 'cat'
    assert shorten('cat and dog', 1, 0.5) == ''


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


def test_note_in_the_corner_of_a_copy():
    image = np.zeros((30, 80, 3), np.uint8)
    result = corner_note(image, '+5 more')
    assert (result[-1, -1] == 255).all()
    assert not result[:5].any()
    assert not image.any()
