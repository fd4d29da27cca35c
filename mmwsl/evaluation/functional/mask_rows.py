"""Binary masks packed by rows, and their contours.

Masks are packed here into words of 64 pixels of a row, the first pixel in
the highest bit, so that one operation works on 64 pixels. Behind the last
pixel of a row seven bits at least are spare, and 0.

K: masks. (H, W): size of the image in pixels. w: words of a row.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided

from mmwsl.structures import PackedMasks

WORD = np.dtype(np.uint64)
# Masks that are aligned at once, so that they stay in the cache.
_CHUNK = 32
# Words as their bytes lie in a row of pixels.
_BYTES = np.dtype('>u8')


def pack_rows(masks: np.ndarray) -> np.ndarray:
    """Pack masks into words.

    Args:
        masks (np.ndarray): bool (K, H, W).

    Returns:
        np.ndarray: uint64 (K, H, w); spare bits are 0.
    """
    count, height, width = masks.shape
    rows = np.zeros((count, height, num_words(width) * 8), dtype=np.uint8)
    packed = np.packbits(masks, axis=-1)
    rows[..., : packed.shape[-1]] = packed
    return rows.view(_BYTES).astype(WORD)


def rows_of(masks: PackedMasks) -> np.ndarray:
    """Return packed masks, in which rows follow without a gap, by rows.

    Args:
        masks (PackedMasks): K masks of H x W.

    Returns:
        np.ndarray: uint64 (K, H, w), as of :func:`pack_rows`.
    """
    count, height, width = masks.shape
    words = num_words(width)
    rows = np.empty((count, height, words), dtype=WORD)
    # A mask's last rows are read beyond its last pixel, into the next masks,
    # which the last masks do not have.
    bits = np.ascontiguousarray(masks.bits)
    beyond = 8 * words
    safe = max(count - -(-beyond // max(bits.shape[1], 1)), 0)
    for start in range(0, safe, _CHUNK):
        part = slice(start, min(start + _CHUNK, safe))
        _align(bits[part], rows[part], width)
    last = np.pad(bits[safe:], ((0, 0), (0, beyond)))
    _align(last, rows[safe:], width)
    return rows


def _align(bits: np.ndarray, rows: np.ndarray, width: int) -> None:
    """Fill rows (n, H, w) from packed pixels (n, B) with more behind them."""
    count, height, words = rows.shape
    inside = inside_rows(width)
    # Every so many rows begin at the same bit of a byte.
    period = 8 // math.gcd(width, 8)
    for turn in range(min(period, height)):
        first, shift = divmod(turn * width, 8)
        part = rows[:, turn::period]
        window = as_strided(
            bits[:, first:],
            (*part.shape[:2], 8 * words),
            (bits.strides[0], period * width // 8, 1),
            writeable=False,
        )
        moved = np.ascontiguousarray(window).view(_BYTES).astype(WORD)
        np.bitwise_and(_left(moved, shift) if shift else moved, inside, part)


def unpack_rows(rows: np.ndarray, width: int) -> np.ndarray:
    """Return packed masks as bool (K, H, W)."""
    return np.unpackbits(as_bytes(rows), axis=-1, count=width).view(bool)


def as_bytes(words: np.ndarray) -> np.ndarray:
    """Return words (..., w) as bytes (..., 8 w), the first pixels first."""
    return words.astype(_BYTES).view(np.uint8)


def inside_rows(width: int) -> np.ndarray:
    """Pack one row with all of its ``width`` pixels set, uint64 (1, 1, w)."""
    return pack_rows(np.ones((1, 1, width), dtype=bool))


def contour_rows(rows: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Mark the pixels at the outlines of masks.

    The morphological gradient with a 5 x 5 square: dilation minus erosion.
    As in OpenCV what lies outside the image counts for neither, so a mask
    has no contour along the border of the image. A pixel is in the contour
    if its square holds a pair of neighbours of which one is in the mask.

    Args:
        rows (np.ndarray): Masks packed by :func:`pack_rows`, (K, h, v).
        inside (np.ndarray): The pixels of a row that may be in a contour,
            uint64 (1 or K, 1, v); not the last two of the last word.

    Returns:
        np.ndarray: The contours, packed in the same way.
    """
    count, height, words = rows.shape
    # Two rows of zeros in front of the first and behind the last one.
    across = np.zeros((count, height + 4, words), dtype=WORD)
    np.bitwise_xor(rows, _left(rows, 1), out=across[:, 2:-2])
    # The last column has no neighbour to its right.
    across[:, 2:-2] &= inside & _left(inside, 1)
    down = np.zeros((count, height + 3, words), dtype=WORD)
    np.bitwise_xor(rows[:, 1:], rows[:, :-1], out=down[:, 2:-2])
    # Rows y - 2 to y + 2 hold five rows and four pairs of them.
    wide = _any_of_four(down)
    both = _any_of_four(across)[:, :-1] | across[:, 4:]
    both |= wide
    # Columns x - 2 to x + 2 in the same way.
    pairs = both | _right(both, 1)
    contours = _left(pairs, 1)
    contours |= _right(pairs, 1)
    contours |= _left(wide, 2)
    contours &= inside
    return contours


def _any_of_four(rows: np.ndarray) -> np.ndarray:
    """Return where any of the rows y to y + 3 is set; three rows fewer."""
    pairs = rows[:, :-1] | rows[:, 1:]
    return pairs[:, :-2] | pairs[:, 2:]


def _left(rows: np.ndarray, count: int) -> np.ndarray:
    """Move pixels to the left: pixel x becomes what x + count was.

    What comes out of one row lands in the last bits of the one before.
    """
    flat = rows.reshape(-1)
    moved = flat << np.uint64(count)
    moved[:-1] |= flat[1:] >> np.uint64(64 - count)
    return moved.reshape(rows.shape)


def _right(rows: np.ndarray, count: int) -> np.ndarray:
    """Move pixels to the right: pixel x becomes what x - count was.

    The last bits of a row must be 0, they come out into the next one.
    """
    flat = rows.reshape(-1)
    moved = flat >> np.uint64(count)
    moved[1:] |= flat[:-1] << np.uint64(64 - count)
    return moved.reshape(rows.shape)


def num_words(width: int) -> int:
    """Words of a row with seven spare bits at least.

    They let shifts run over all rows at once, which is several times faster
    than row by row: by two places around contours, by up to seven where rows
    follow without a gap.
    """
    return -(-(width + 7) // 64)
