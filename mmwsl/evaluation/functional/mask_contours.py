"""Contours of packed masks.

Masks are packed by rows, see ``mmwsl/structures/mask_rows.py``.
"""

import numpy as np

from mmwsl.structures.mask_rows import WORD


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
