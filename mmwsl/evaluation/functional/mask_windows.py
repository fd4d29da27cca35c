"""Parts of packed masks that hold all that is in them.

A proposal seldom fills its image, and work on packed masks grows with their
words, so masks are cut to windows around them, and those of windows of one
size worked on together.

K: masks. (H, W): size of the image in pixels. w: words of a row. n: masks
of a window. (h, v): rows and words of a window.
"""

from typing import Iterator, NamedTuple, Tuple

import numpy as np

from mmwsl.structures.mask_rows import WORD, inside_rows

# As many words of all masks of a window stay in the cache.
_MAX_WORDS = 16000


class MaskWindows(NamedTuple):
    """Windows of one size, each in its place, of some masks."""

    chosen: np.ndarray  # (n,) which masks
    rows: np.ndarray  # uint64 (n, h, v) words of the masks in their windows
    inside: np.ndarray  # uint64 (n, 1, v) the pixels that a contour can have
    place: np.ndarray  # (n,) first row * w + first word of a window
    pitch: int  # w


def mask_windows(
    rows: np.ndarray, width: int, max_words: int = _MAX_WORDS
) -> Iterator[MaskWindows]:
    """Cut masks to windows in which they and their contours lie.

    Args:
        rows (np.ndarray): Masks packed by :func:`pack_rows`.
        width (int): W.
        max_words (int): So many words, or one mask, are taken at once.

    Yields:
        MaskWindows: Of masks that need windows of about the same size.
        Outside of its window a mask and its contour are empty.
    """
    count, height, pitch = rows.shape
    flat, inside = rows.reshape(-1), inside_rows(width).reshape(-1)
    top, bottom = _spans((rows != 0).reshape(count, height * pitch))
    top, bottom = top // pitch, (bottom - 1) // pitch + 1
    # A contour reaches two pixels beyond its mask, and the third one has to
    # see that nothing follows.
    top, bottom = np.maximum(top - 3, 0), np.minimum(bottom + 3, height)
    columns = _all_rows(rows)
    left, right = _spans(columns != 0)
    # The same within the first and the last word, where shifts to the left
    # bring pixels of the next row into the last two pixels.
    each = np.arange(count)
    left -= (columns[each, left] >> WORD.type(62) != 0) & (left > 0)
    right += (columns[each, right - 1] & WORD.type(15) != 0) & (right < pitch)
    high, wide = bottom - top, right - left
    for chosen in _similar(high, wide, max_words):
        size = int(high[chosen].max()), int(wide[chosen[0]])
        first = np.minimum(top[chosen], height - size[0])
        place = first * pitch + left[chosen]
        words = np.arange(size[0])[:, None] * pitch + np.arange(size[1])
        found = (chosen * (height * pitch) + place)[:, None, None] + words
        pixels = inside[left[chosen][:, None] + np.arange(size[1])]
        pixels[:, -1] &= ~WORD.type(3)
        yield MaskWindows(
            chosen, flat.take(found), pixels[:, None], place, pitch
        )


def _all_rows(rows: np.ndarray) -> np.ndarray:
    """Join the rows of masks (K, H, w), several times faster than numpy."""
    while rows.shape[1] > 8:
        half = (rows.shape[1] + 1) // 2
        rows = rows[:, :half] | rows[:, -half:]
    columns: np.ndarray = np.bitwise_or.reduce(rows, axis=1)
    return columns


def _spans(used: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Return the first place (K,) and the one behind the last in (K, N)."""
    first = used.argmax(axis=1)
    last = used.shape[1] - used[:, ::-1].argmax(axis=1)
    return first, np.where(used.any(axis=1), last, 1)


def _similar(
    high: np.ndarray, wide: np.ndarray, max_words: int
) -> Iterator[np.ndarray]:
    """Group indices of windows of one width and of similar heights."""
    order = np.lexsort((high, wide))
    start = 0
    for stop in range(1, len(order) + 1):
        if stop < len(order):
            # The next one is the highest so far.
            last = order[stop]
            same = wide[last] == wide[order[start]]
            words = (stop + 1 - start) * int(high[last]) * int(wide[last])
            if same and words <= max_words:
                continue
        yield order[start:stop]
        start = stop
