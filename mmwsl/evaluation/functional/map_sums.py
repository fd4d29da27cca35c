"""Sums of maps over many binary masks.

Masks are packed by rows, see ``mmwsl/structures/mask_rows.py``, and cut to
windows, see ``mask_windows.py``.

M: maps. K: masks. (H, W): size of the image in pixels. w: words of a row.
"""

from typing import Any, NamedTuple, Optional

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from mmwsl.evaluation.functional.mask_windows import MaskWindows
from mmwsl.structures.mask_rows import WORD, as_bytes, num_words, unpack_rows

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
        self, masks: MaskWindows, edges: Optional[MaskEdges]
    ) -> np.ndarray:
        """Sum the maps over masks.

        Args:
            masks (MaskWindows): K masks.
            edges (MaskEdges, optional): Their :func:`mask_edges`.

        Returns:
            np.ndarray: float32 (M, K).
        """
        sums = np.empty((len(masks.rows), len(self.maps)), dtype=np.float32)
        # With several threads torch takes no rows of no columns.
        if not sums.size:
            return sums.T
        if edges is None:
            for place in np.unique(masks.place):
                chosen = masks.place == place
                sums[chosen] = self._products(
                    masks.rows[chosen], *divmod(int(place), masks.pitch)
                ).T
            return sums.T
        # Takes and adds up at once, without a copy of what it takes.
        with torch.inference_mode():
            sums = F.embedding_bag(
                torch.from_numpy(edges.place),
                torch.from_numpy(self.total),
                torch.from_numpy(edges.starts),
                per_sample_weights=torch.from_numpy(edges.sign),
                mode='sum',
                include_last_offset=True,
            ).numpy()
        return sums.T

    def _products(self, rows: np.ndarray, top: int, left: int) -> np.ndarray:
        """Sum over masks (K, h, v) from row ``top`` and word ``left`` on."""
        maps = self.maps[:, top : top + rows.shape[1], 64 * left :]
        maps = maps[:, :, : 64 * rows.shape[2]]
        return _product(maps, unpack_rows(rows, maps.shape[2]))


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


def mask_edges(masks: MaskWindows) -> Optional[MaskEdges]:
    """Find the places where masks begin and end along columns.

    Args:
        masks (MaskWindows): K masks.

    Returns:
        MaskEdges | None: None if they are too many to gain from.
    """
    count, height, words = masks.rows.shape
    # A row of zeros in front of the first and behind the last one.
    padded = np.zeros((count, height + 2, words), dtype=WORD)
    padded[:, 1:-1] = masks.rows
    above, below = padded.reshape(-1)[:-words], padded.reshape(-1)[words:]
    # Between two masks there is no change.
    changes = above ^ below
    found = np.flatnonzero(changes != 0)
    changed = as_bytes(changes[found])
    # numpy finds what is set several times faster in booleans.
    some = np.flatnonzero(changed != 0)
    if len(some) > _MAX_EDGE_BYTES * 8 * len(changes):
        return None
    inner = np.flatnonzero(np.unpackbits(changed[some]).view(bool))
    begins = np.unpackbits(as_bytes(below[found])[some])[inner]
    byte = some[inner >> 3]
    word = byte >> 3
    # Of words in the window, their places in the image.
    grid = np.arange(height + 2)[:, None] * masks.pitch + np.arange(words)
    places = (masks.place[:, None, None] + grid).reshape(-1)
    place = places[found][word] * 64 + (byte & 7) * 8 + (inner & 7)
    starts = np.searchsorted(
        found[word], np.arange(count + 1) * ((height + 2) * words)
    )
    return MaskEdges(place, 1 - 2 * begins.astype(np.float32), starts)


def mask_areas(masks: MaskWindows, edges: Optional[MaskEdges]) -> np.ndarray:
    """Count the pixels of masks.

    Args:
        masks (MaskWindows): K masks.
        edges (MaskEdges, optional): Their :func:`mask_edges`.

    Returns:
        np.ndarray: float64 (K,).
    """
    if edges is None:
        # Bits behind the last column are 0.
        flat = unpack_rows(masks.rows, 64 * masks.rows.shape[2])
        return np.count_nonzero(flat, axis=(1, 2)).astype(np.float64)
    row = edges.place // (64 * masks.pitch)
    total = np.zeros(len(row) + 1)
    np.cumsum(row * edges.sign, dtype=np.float64, out=total[1:])
    areas: np.ndarray = np.diff(total[edges.starts])
    return areas
