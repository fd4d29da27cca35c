"""Sums of maps over many binary masks.

Masks are packed by rows, see ``mask_rows.py``.

M: maps. K: masks. (H, W): size of the image in pixels. w: words of a row.
"""

from typing import Any, Iterator, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from mmwsl.evaluation.functional.mask_rows import (
    WORD,
    as_bytes,
    num_words,
    unpack_rows,
)

# A mask with more of its bytes at an edge is cheaper in a matrix product.
_MAX_EDGE_BYTES = 0.1
# So many rows of maps, turned, stay in the cache.
_ROWS = 8
# Up to here float32 holds every integer.
_EXACT = 2**24


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
            (height + 1, num_words(width) * 64, count), dtype=np.float32
        )
        total[0] = 0
        for start in range(0, height, _ROWS):
            last = _maps_last(maps[:, start : start + _ROWS])
            for y, row in enumerate(last, start):
                np.add(total[y, :width], row, out=total[y + 1, :width])
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
    flat = numbers.reshape(len(maps), -1)
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
    padded = np.zeros((count, height + 2, words), dtype=WORD)
    padded[:, 1:-1] = rows
    above, below = padded.reshape(-1)[:-words], padded.reshape(-1)[words:]
    # Between two masks there is no change.
    changes = above ^ below
    found = np.flatnonzero(changes != 0)
    changed = as_bytes(changes[found])
    some = np.flatnonzero(changed)
    if len(some) > _MAX_EDGE_BYTES * 8 * len(changes):
        return None
    inner = np.flatnonzero(np.unpackbits(changed[some]))
    begins = np.unpackbits(as_bytes(below[found])[some])[inner]
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
