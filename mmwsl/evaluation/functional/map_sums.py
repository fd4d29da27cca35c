"""Sums of maps over many binary masks.

Masks are packed here into words of 64 pixels of a row, the first pixel in
the lowest bit, so that one operation works on 64 pixels. Behind the last
pixel of a row two bits at least are spare, and 0.

M: maps. K: masks. (H, W): size of the image in pixels. w: words of a row.
"""

from typing import Any, Iterator, NamedTuple, Optional, Sequence, Tuple

import numpy as np

# A mask with more of its bytes at an edge is cheaper in a matrix product.
_MAX_EDGE_BYTES = 0.1
# Up to here float32 holds every integer.
_EXACT = 2**24
_WORD = np.dtype('<u8')


class MaskEdges(NamedTuple):
    """Where masks change from a row to the next, E places in all."""

    mask: np.ndarray  # (E,) index of the mask, ascending
    row: np.ndarray  # (E,) row below the edge, 0 to H
    place: np.ndarray  # (E,) row * 64 w + column
    sign: np.ndarray  # (E,) -1 where the mask begins, 1 where it has ended


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
        # Entry y sums the rows above y.
        total = np.zeros(
            (height + 1, _words(width) * 64, count), dtype=np.float32
        )
        for y in range(height):
            np.add(total[y, :width], maps[:, y].T, out=total[y + 1, :width])
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
        sums = np.zeros((len(rows), len(self.maps)), dtype=np.float32)
        places = edges.place + 64 * first * rows.shape[2]
        values = self.total.take(places, axis=0)
        values *= edges.sign[:, None]
        starts = np.flatnonzero(np.diff(edges.mask, prepend=-1))
        if len(starts):
            sums[edges.mask[starts]] = np.add.reduceat(values, starts, axis=0)
        return sums.T


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
    packed = np.packbits(masks, axis=-1, bitorder='little')
    rows[..., : packed.shape[-1]] = packed
    return rows.view(_WORD)


def unpack_rows(rows: np.ndarray, width: int) -> np.ndarray:
    """Return packed masks as bool (K, H, W)."""
    return np.unpackbits(
        rows.view(np.uint8), axis=-1, count=width, bitorder='little'
    ).view(bool)


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
    changes = (padded[:, 1:] ^ padded[:, :-1]).view(np.uint8).reshape(-1)
    found = np.flatnonzero(changes != 0)
    if len(found) > _MAX_EDGE_BYTES * len(changes):
        return None
    inner = np.flatnonzero(np.unpackbits(changes[found], bitorder='little'))
    mask, cell = np.divmod(found[inner >> 3], (height + 1) * words * 8)
    row, byte = np.divmod(cell, words * 8)
    bit = inner & 7
    begins = padded.view(np.uint8)[mask, row + 1, byte] >> bit & 1
    sign = 1 - 2 * begins.astype(np.float32)
    return MaskEdges(mask, row, cell * 8 + bit, sign)


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
    return np.bincount(edges.mask, edges.row * edges.sign, len(rows))


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
    # The last column has no neighbour to its right.
    across = (rows ^ _left(rows, 1)) & _left(inside, 1)
    down = rows[:, 1:] ^ rows[:, :-1]
    # Rows y - 2 to y + 2 hold five rows and four pairs of them.
    wide = np.zeros_like(rows)
    _or_shifted(wide, down, (-1, 0, 1, 2))
    both = wide.copy()
    _or_shifted(both, across, (-2, -1, 0, 1, 2))
    # Columns x - 2 to x + 2 in the same way.
    contours = both | _left(both, 1)
    contours |= _right(both, 1)
    contours |= _right(both, 2)
    contours |= _left(wide, 2)
    contours &= inside
    return contours


def _or_shifted(
    target: np.ndarray, rows: np.ndarray, shifts: Sequence[int]
) -> None:
    """Add rows to a target, moved down by each of the shifts."""
    for shift in shifts:
        start = max(shift, 0)
        stop = min(target.shape[1], rows.shape[1] + shift)
        if start < stop:
            target[:, start:stop] |= rows[:, start - shift : stop - shift]


def _left(rows: np.ndarray, count: int) -> np.ndarray:
    """Move pixels to the left: pixel x becomes what x + count was.

    At most two places, so that what comes out of one row lands in the spare
    bits of the one before.
    """
    flat = rows.reshape(-1)
    moved = flat >> np.uint64(count)
    moved[:-1] |= flat[1:] << np.uint64(64 - count)
    return moved.reshape(rows.shape)


def _right(rows: np.ndarray, count: int) -> np.ndarray:
    """Move pixels to the right: pixel x becomes what x - count was.

    At most two places, and the spare bits of the rows must be 0.
    """
    flat = rows.reshape(-1)
    moved = flat << np.uint64(count)
    moved[1:] |= flat[:-1] >> np.uint64(64 - count)
    return moved.reshape(rows.shape)


def _words(width: int) -> int:
    """Words of a row with two spare bits at least.

    They let shifts run over all rows at once, which is several times faster
    than row by row.
    """
    return -(-(width + 2) // 64)
