"""Binary masks packed by rows into words of 64 pixels.

The first pixel is in the highest bit, so that one operation works on 64
pixels. Behind the last pixel of a row seven bits at least are spare, and 0:
they let shifts run over all rows at once, which is several times faster than
row by row.

K: masks. (H, W): size of the image in pixels. w: words of a row.
"""

import numpy as np

WORD = np.dtype(np.uint64)
# Words as their bytes lie in a row of pixels.
_BYTES = np.dtype('>u8')


def num_words(width: int) -> int:
    """Return the words of a row of ``width`` pixels."""
    return -(-(width + 7) // 64)


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


def inside_rows(width: int) -> np.ndarray:
    """Pack one row with all of its ``width`` pixels set, uint64 (1, 1, w)."""
    return pack_rows(np.ones((1, 1, width), dtype=bool))


def unpack_rows(rows: np.ndarray, width: int) -> np.ndarray:
    """Return packed masks as bool (K, H, W)."""
    return np.unpackbits(as_bytes(rows), axis=-1, count=width).view(bool)


def as_bytes(words: np.ndarray) -> np.ndarray:
    """Return words (..., w) as bytes (..., 8 w), the first pixels first."""
    return words.astype(_BYTES).view(np.uint8)
