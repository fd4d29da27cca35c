"""Sums of maps over many binary masks.

Masks are packed here into words of 64 pixels of a row, the first pixel in
the highest bit, so that one operation works on 64 pixels. Behind the last
pixel of a row seven bits at least are spare, and 0.

M: maps. K: masks. (H, W): size of the image in pixels. w: words of a row.
"""

import math
from typing import Any, Iterator, NamedTuple, Optional, Tuple

import cv2
import numpy as np
from numpy.lib.stride_tricks import as_strided

from mmwsl.structures import PackedMasks

# A mask with more of its bytes at an edge is cheaper in a matrix product.
_MAX_EDGE_BYTES = 0.1
# Up to here float32 holds every integer.
_EXACT = 2**24
_WORD = np.dtype(np.uint64)
# Words as their bytes lie in a row of pixels.
_BYTES = np.dtype('>u8')


class MaskEdges(NamedTuple):
    """Where masks change from a row to the next, E places in all."""

    place: np.ndarray  # (E,) row below the edge * 64 w + column, row 0 to H
    sign: np.ndarray  # (E,) -1 where the mask begins, 1 where it has ended
    starts: np.ndarray  # (K + 1,) where the edges of a mask start; E


class MapSums:
    """The sums of M maps over masks: ``maps . masks`` for all pairs.

    With maps summed up along the columns, a sum over a mask is the
    difference of two values for each run of pixels in a column. So the work
    grows with the outline of masks and not with their area, nothing has to
    be converted to floats, and every edge is found once for all maps. Masks
    of very many edges go through a matrix product.

    Args:
        maps (np.ndarray): (M, H, W), bool or float.
    """

    def __init__(self, maps: np.ndarray) -> None:
        count, height, width = maps.shape
        self.maps = maps
        # Entry y sums the rows above y. No edge lies in the spare columns.
        total = np.empty(
            (height + 1, _words(width) * 64, count), dtype=np.float32
        )
        total[0] = 0
        last = _maps_last(maps)
        for y in range(height):
            np.add(total[y, :width], last[y], out=total[y + 1, :width])
        self.total = total.reshape(total.shape[0] * total.shape[1], count)

    def over(
        self, rows: np.ndarray, edges: Optional[MaskEdges], first: int = 0
    ) -> np.ndarray:
        """Sum the maps over masks.

        Args:
            rows (np.ndarray): Masks packed by :func:`pack_rows`, or some of
                their rows, beyond which they are empty.
            edges (MaskEdges, optional): Their :func:`mask_edges`.
            first (int): The first one of these rows.

        Returns:
            np.ndarray: float32 (M, K).
        """
        if edges is None:
            maps = self.maps[:, first : first + rows.shape[1]]
            return _product(maps, unpack_rows(rows, maps.shape[2]))
        sums = np.empty((len(rows), len(self.maps)), dtype=np.float32)
        places = edges.place + 64 * first * rows.shape[2]
        values = self.total.take(places, axis=0)
        for mask, (start, stop) in enumerate(
            zip(edges.starts[:-1], edges.starts[1:])
        ):
            np.dot(edges.sign[start:stop], values[start:stop], out=sums[mask])
        return sums.T


def _maps_last(maps: np.ndarray) -> np.ndarray:
    """Turn maps (M, H, W) into (H, W, M)."""
    if maps.size == 0:
        return maps.transpose(1, 2, 0)
    numbers = maps.view(np.uint8) if maps.dtype == bool else maps
    flat = np.ascontiguousarray(numbers).reshape(len(maps), -1)
    # Several times faster than numpy's copy of a transposed array.
    return cv2.transpose(flat).reshape(*maps.shape[1:], len(maps))


def _product(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Sum maps (M, H, W) over masks (K, H, W) by a matrix product."""
    pixels = maps.shape[1] * maps.shape[2]
    dtype: Any = np.float32 if pixels < _EXACT else np.float64
    flat_maps = maps.reshape(len(maps), pixels).astype(dtype)
    flat_masks = masks.reshape(len(masks), pixels).astype(dtype)
    sums: np.ndarray = flat_maps @ flat_masks.T
    return sums.astype(np.float32)


def pack_rows(masks: np.ndarray) -> np.ndarray:
    """Pack masks into words.

    Args:
        masks (np.ndarray): bool (K, H, W).

    Returns:
        np.ndarray: uint64 (K, H, w); spare bits are 0.
    """
    count, height, width = masks.shape
    rows = np.zeros((count, height, _words(width) * 8), dtype=np.uint8)
    packed = np.packbits(masks, axis=-1)
    rows[..., : packed.shape[-1]] = packed
    return rows.view(_BYTES).astype(_WORD)


def rows_of(masks: PackedMasks) -> np.ndarray:
    """Return packed masks, in which rows follow without a gap, by rows.

    Args:
        masks (PackedMasks): K masks of H x W.

    Returns:
        np.ndarray: uint64 (K, H, w), as of :func:`pack_rows`.
    """
    count, height, width = masks.shape
    words = _words(width)
    # The last rows are read beyond the last pixel.
    bits = np.empty((count, masks.bits.shape[1] + 8 * words), dtype=np.uint8)
    bits[:, : masks.bits.shape[1]] = masks.bits
    rows = np.empty((count, height, words), dtype=_WORD)
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
        part[:] = np.ascontiguousarray(window).view(_BYTES)
        if shift:
            part[:] = _left(np.ascontiguousarray(part), shift)
    rows &= pack_rows(np.ones((1, 1, width), dtype=bool))
    return rows


def unpack_rows(rows: np.ndarray, width: int) -> np.ndarray:
    """Return packed masks as bool (K, H, W)."""
    return np.unpackbits(_as_bytes(rows), axis=-1, count=width).view(bool)


def _as_bytes(words: np.ndarray) -> np.ndarray:
    """Return words (..., w) as bytes (..., 8 w), the first pixels first."""
    return words.astype(_BYTES).view(np.uint8)


def row_windows(
    rows: np.ndarray, number: int
) -> Iterator[Tuple[np.ndarray, int, np.ndarray]]:
    """Take masks at similar heights together, with the rows they need.

    Args:
        rows (np.ndarray): Masks packed by :func:`pack_rows`.
        number (int): How many are taken at once.

    Yields:
        tuple: Indices (n,) of masks, the first row of their window, and
        their rows (n, h, w) there. Outside of the window these masks and
        their contours are empty.
    """
    height = rows.shape[1]
    used = np.bitwise_or.reduce(rows, axis=2) != 0
    tops = used.argmax(axis=1)
    bottoms = height - used[:, ::-1].argmax(axis=1)
    order = np.argsort(tops + bottoms, kind='stable')
    for start in range(0, len(rows), number):
        chosen = order[start : start + number]
        # A contour reaches two rows beyond its mask.
        first = max(int(tops[chosen].min()) - 3, 0)
        last = min(int(bottoms[chosen].max()) + 3, height)
        yield chosen, first, rows[chosen, first:last]


def mask_edges(rows: np.ndarray) -> Optional[MaskEdges]:
    """Find the places where masks begin and end along columns.

    Args:
        rows (np.ndarray): Masks packed by :func:`pack_rows`.

    Returns:
        MaskEdges | None: None if they are too many to gain from.
    """
    count, height, words = rows.shape
    # A row of zeros in front of the first and behind the last one.
    padded = np.zeros((count, height + 2, words), dtype=_WORD)
    padded[:, 1:-1] = rows
    above, below = padded.reshape(-1)[:-words], padded.reshape(-1)[words:]
    # Between two masks there is no change.
    changes = above ^ below
    found = np.flatnonzero(changes != 0)
    changed = _as_bytes(changes[found])
    some = np.flatnonzero(changed)
    if len(some) > _MAX_EDGE_BYTES * 8 * len(changes):
        return None
    inner = np.flatnonzero(np.unpackbits(changed[some]))
    begins = np.unpackbits(_as_bytes(below[found])[some])[inner]
    byte = some[inner >> 3]
    word = byte >> 3
    size = (height + 2) * words
    place = (found % size)[word] * 64 + (byte & 7) * 8 + (inner & 7)
    starts = np.searchsorted(found[word], np.arange(count + 1) * size)
    return MaskEdges(place, 1 - 2 * begins.astype(np.float32), starts)


def mask_areas(rows: np.ndarray, edges: Optional[MaskEdges]) -> np.ndarray:
    """Count the pixels of masks.

    Args:
        rows (np.ndarray): Masks packed by :func:`pack_rows`.
        edges (MaskEdges, optional): Their :func:`mask_edges`.

    Returns:
        np.ndarray: float64 (K,).
    """
    if edges is None:
        # Bits behind the last column are 0.
        flat = unpack_rows(rows, 64 * rows.shape[2])
        return np.count_nonzero(flat, axis=(1, 2)).astype(np.float64)
    row = edges.place // (64 * rows.shape[2])
    total = np.zeros(len(row) + 1)
    np.cumsum(row * edges.sign, dtype=np.float64, out=total[1:])
    areas: np.ndarray = np.diff(total[edges.starts])
    return areas


def contour_rows(rows: np.ndarray, width: int) -> np.ndarray:
    """Mark the pixels at the outlines of masks.

    The morphological gradient with a 5 x 5 square: dilation minus erosion.
    As in OpenCV what lies outside the image counts for neither, so a mask
    has no contour along the border of the image. A pixel is in the contour
    if its square holds a pair of neighbours of which one is in the mask.

    Args:
        rows (np.ndarray): Masks packed by :func:`pack_rows`.
        width (int): W.

    Returns:
        np.ndarray: The contours, packed in the same way.
    """
    inside = pack_rows(np.ones((1, 1, width), dtype=bool))
    count, height, words = rows.shape
    # Two rows of zeros in front of the first and behind the last one.
    across = np.zeros((count, height + 4, words), dtype=_WORD)
    np.bitwise_xor(rows, _left(rows, 1), out=across[:, 2:-2])
    # The last column has no neighbour to its right.
    across[:, 2:-2] &= _left(inside, 1)
    down = np.zeros((count, height + 3, words), dtype=_WORD)
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


def _words(width: int) -> int:
    """Words of a row with seven spare bits at least.

    They let shifts run over all rows at once, which is several times faster
    than row by row: by two places around contours, by up to seven where rows
    follow without a gap.
    """
    return -(-(width + 7) // 64)
