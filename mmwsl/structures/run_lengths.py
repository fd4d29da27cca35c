"""COCO's run lengths, read and written without compiled code.

A mask is the lengths of its runs of 0, 1, 0, ... in column-major order. COCO
stores them as a list, or compressed as text: each length less the one two
places before (from the fourth on), in digits of five bits, lowest first, with
a bit that says whether another digit follows, shifted to printable letters.

n: number of runs.
"""

from typing import Any, Dict, List, Optional, Union

import numpy as np

# Seven digits of five bits hold every run of an image below 2^34 pixels.
_DIGITS = 7
_MAX_PIXELS = 2**34


def encode_mask(mask: np.ndarray) -> Dict[str, Any]:
    """Write a mask as COCO's compressed run lengths.

    Args:
        mask (np.ndarray): bool (H, W).

    Returns:
        dict: ``size`` [H, W] and ``counts``, a text.
    """
    pixels = np.asarray(mask, dtype=bool).T.reshape(-1)
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    starts = [0, 0] if pixels.size and pixels[0] else [0]
    counts = np.diff(np.concatenate([starts, changes, [pixels.size]]))
    return dict(size=list(mask.shape), counts=compress_counts(counts))


def decode_mask(segmentation: Any, name: str) -> np.ndarray:
    """Read run lengths, compressed or not.

    Args:
        segmentation (dict): ``size`` [H, W] and ``counts``, a text or a list
            of whole numbers (600.0 is one, 600.5 is not).
        name (str): Which file to name in errors.

    Returns:
        np.ndarray: bool (H, W).

    Raises:
        ValueError: If it is not that, or the runs do not fill the mask.
    """
    if not isinstance(segmentation, dict) or not (
        {'size', 'counts'} <= set(segmentation)
    ):
        raise ValueError(
            f'{name}: a segmentation must be run lengths, a dict of size and '
            'counts'
        )
    size = whole_numbers(segmentation['size'])
    if size is None or size.shape != (2,) or (size < 0).any():
        raise ValueError(f'{name}: size is not height and width')
    height, width = size.tolist()
    if height * width >= _MAX_PIXELS:
        raise ValueError(
            f'{name}: a mask of {width} x {height} pixels is too large'
        )
    counts = segmentation['counts']
    if isinstance(counts, (str, bytes)):
        counts = expand_counts(counts)
    counts = whole_numbers(counts)
    if counts is None:
        raise ValueError(
            f'{name}: counts must be a text or a list of whole numbers that '
            'fit 64 bits'
        )
    # A sum of longer runs may overflow.
    short = (counts >= 0) & (counts <= height * width)
    if not short.all() or counts.sum() != height * width:
        raise ValueError(
            f'{name}: run lengths do not fill a mask of {width} x {height} '
            'pixels'
        )
    pixels = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return pixels.reshape(width, height).T


def whole_numbers(values: Any) -> Optional[np.ndarray]:
    """Return a list of whole numbers as int64 (n,), None for other things."""
    try:
        numbers = np.asarray(values)
    except ValueError:
        return None
    if numbers.ndim != 1 or numbers.dtype.kind not in 'iuf':
        return None
    if (
        numbers.dtype.kind == 'f'
        and not (
            (numbers == np.floor(numbers)) & (np.abs(numbers) < 2**53)
        ).all()
    ):
        return None
    if numbers.size and numbers.max() > np.iinfo(np.int64).max:
        return None
    return numbers.astype(np.int64)


def compress_counts(counts: np.ndarray) -> str:
    """Write run lengths (n,) as COCO's text."""
    rest = np.asarray(counts, dtype=np.int64).copy()
    rest[3:] -= counts[1:-2]
    digits = np.zeros((len(rest), _DIGITS), dtype=np.uint8)
    used = np.zeros(digits.shape, dtype=bool)
    follows = np.ones(len(rest), dtype=bool)
    for place in range(_DIGITS):
        digit = rest & 31
        rest >>= 5
        used[:, place] = follows
        # The fifth bit of the last digit is the sign.
        follows &= np.where(digit & 16, rest != -1, rest != 0)
        digits[:, place] = digit + 32 * follows + 48
    return digits[used].tobytes().decode('ascii')


def expand_counts(text: Union[str, bytes]) -> List[int]:
    """Read run lengths of COCO's text."""
    raw = text.encode('ascii', 'replace') if isinstance(text, str) else text
    digits = np.frombuffer(raw, dtype=np.uint8).astype(np.int64) - 48
    last = (digits & 32) == 0
    if not digits.size or not last[-1] or digits.min() < 0:
        # Runs that cannot fill any mask, which the caller reports.
        return [-1]
    number = np.cumsum(last) - last
    first = np.flatnonzero(np.concatenate([[True], last[:-1]]))
    place = np.arange(len(digits)) - first[number]
    # More than twelve digits would not fit into 64 bits.
    values = np.zeros(len(first), dtype=np.int64)
    shift = 5 * np.minimum(place, 12)
    np.add.at(values, number, (digits & 31) << shift)
    negative = (digits[last] & 16) != 0
    values -= negative * (np.int64(1) << (shift[last] + 5).clip(max=62))
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    counts: List[int] = values.tolist()
    return counts
