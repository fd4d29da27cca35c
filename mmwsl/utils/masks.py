"""Masks in files: bits, COCO's run lengths and polygons, and boxes.

(H, W): height and width of a mask. K: number of masks. n: number of runs.
"""

from reprlib import repr as short
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np
from pycocotools import mask as coco_mask
from scipy.spatial import KDTree

from mmwsl.utils.arrays import check_same_size
from mmwsl.utils.images import pixel_limit

# By how many times its longer side a polygon may leave an image: the corners
# of an object at its edge do, and the work grows with the way between them.
_OUTSIDE = 10
# Bits of a run's length in Label Studio's run lengths.
_RUN_BITS = (3, 4, 8, 16)
_LONGEST_RUN = 1 << _RUN_BITS[-1]


def pack_masks(masks: np.ndarray) -> np.ndarray:
    """Pack masks (K, H, W) for a file, uint8 (K, ceil(H W / 8)).

    Pixels go row by row without a gap, the first one in the highest bit.
    """
    count, height, width = masks.shape
    return np.packbits(masks.reshape(count, height * width), axis=1)


def unpack_masks(bits: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Unpack what :func:`pack_masks` packed to bool (K, H, W).

    Raises:
        TypeError: If ``bits`` is not uint8.
        ValueError: If ``bits`` has not the shape of masks of ``size``.
    """
    height, width = int(size[0]), int(size[1])
    num_bytes = (height * width + 7) // 8
    if bits.dtype != np.uint8:
        raise TypeError(f'packed masks must be uint8, got {bits.dtype}')
    if bits.ndim != 2 or bits.shape[1] != num_bytes:
        raise ValueError(
            f'packed masks of {width} x {height} pixels must have the shape '
            f'(K, {num_bytes}), got {bits.shape}'
        )
    flat = np.unpackbits(bits, axis=1, count=height * width)
    return flat.view(bool).reshape(len(bits), height, width)


def encode_mask(mask: np.ndarray) -> Dict[str, Any]:
    """Write a mask bool (H, W) as COCO's run lengths: size and counts."""
    runs = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return dict(size=list(mask.shape), counts=runs['counts'].decode())


def decode_segmentation(
    segmentation: Any,
    shape: Tuple[int, int],
    name: str,
    allow_empty: bool = False,
) -> np.ndarray:
    """Decode a COCO segmentation to bool (H, W).

    Args:
        segmentation: Polygons as lists of x, y, or run lengths as in COCO.
            A polygon that is smaller than a pixel marks the one it lies in.
        shape: Height and width of the image.
        name: What to call it in an error.
        allow_empty: Whether run lengths may mark nothing.

    Raises:
        ValueError: If it is malformed, of another size, or marks nothing.
    """
    if isinstance(segmentation, dict):
        mask = decode_mask(segmentation, name, shape)
    elif isinstance(segmentation, list) and segmentation:
        polygons = [_polygon(item, shape, name) for item in segmentation]
        if max(map(max, polygons)) <= 1 < max(shape):
            raise ValueError(
                f'{name}: the segmentation {short(segmentation)} has no '
                'coordinate above 1; it must be in pixels'
            )
        runs = coco_mask.frPyObjects(polygons, *shape)
        mask = coco_mask.decode(coco_mask.merge(runs)).astype(bool)
        allow_empty = False
        if not mask.any():
            _mark_middle(mask, polygons)
    else:
        raise ValueError(
            f'{name}: the segmentation is {short(segmentation)}, neither '
            'polygons nor run lengths'
        )
    if not allow_empty and not mask.any():
        raise ValueError(
            f'{name}: the segmentation {short(segmentation)} marks nothing '
            f'in an image of {shape[1]} x {shape[0]} pixels'
        )
    return mask


def _polygon(points: Any, shape: Tuple[int, int], name: str) -> List[float]:
    """Check one polygon of a segmentation."""
    numbers = isinstance(points, list) and all(
        isinstance(value, (int, float)) and not isinstance(value, bool)
        for value in points
    )
    if not numbers or len(points) < 6 or len(points) % 2:
        raise ValueError(
            f'{name}: the segmentation holds {short(points)}, which is no '
            'polygon: a list of x, y of at least three corners'
        )
    # Not a number is never below.
    if not all(abs(value) <= _OUTSIDE * max(shape) for value in points):
        raise ValueError(
            f'{name}: the segmentation has a corner far outside its image of '
            f'{shape[1]} x {shape[0]} pixels'
        )
    return points


def _mark_middle(mask: np.ndarray, polygons: List[List[float]]) -> None:
    """Mark the pixel in which polygons below the size of one lie."""
    for polygon in polygons:
        points = np.reshape(polygon, (-1, 2))
        x, y = points[:, 0], points[:, 1]
        area = abs((x * np.roll(y, 1) - y * np.roll(x, 1)).sum()) / 2
        column, row = np.floor(points.mean(axis=0)).astype(int)
        inside = 0 <= column < mask.shape[1] and 0 <= row < mask.shape[0]
        if area and inside:
            mask[row, column] = True


def decode_mask(
    segmentation: Any, name: str, shape: Optional[Sequence[int]] = None
) -> np.ndarray:
    """Read run lengths, compressed or not, to bool (H, W).

    Args:
        segmentation: ``size`` [H, W] and ``counts``, a text or a list of
            whole numbers (600.0 is one, 600.5 is not).
        name: What to call it in errors.
        shape: Height and width that the mask must have, if that is known.

    Raises:
        ValueError: If it is not that, or the runs do not fill the mask.
    """
    if not isinstance(segmentation, dict) or not (
        {'size', 'counts'} <= set(segmentation)
    ):
        raise ValueError(
            f'{name}: a segmentation must be run lengths, a dict of size and '
            f'counts, not {short(segmentation)}'
        )
    size = whole_numbers(segmentation['size'])
    if size is None or size.shape != (2,) or (size < 0).any():
        raise ValueError(f'{name}: size is not height and width')
    height, width = size.tolist()
    if shape is not None:
        check_same_size(
            f'{name}: mask is', (height, width), 'its image is', shape
        )
    if height * width > pixel_limit():
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
    fit = (counts >= 0) & (counts <= height * width)
    if not fit.all() or counts.sum() != height * width:
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


def expand_counts(text: Union[str, bytes]) -> List[int]:
    """Read run lengths of COCO's text, [-1] if it is none.

    Each is less the one two places before (from the fourth on), in digits of
    five bits, lowest first, with a bit that says whether another digit
    follows, shifted to printable letters. pycocotools reads them as well, but
    leaves memory as it was where they do not fill the mask.
    """
    raw = text.encode('ascii', 'replace') if isinstance(text, str) else text
    counts: List[int] = []
    value = shift = 0
    for digit in raw:
        digit -= 48
        # More than twelve digits would not fit into 64 bits.
        if digit < 0 or shift > 60:
            return [-1]
        value |= (digit & 31) << shift
        shift += 5
        if not digit & 32:
            # The highest bit is the sign.
            value -= (digit & 16) << (shift - 4)
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return [-1] if shift or not counts else counts


def boxes_of_masks(masks: Any) -> np.ndarray:
    """Return the boxes float32 (n, 4) of n masks; zeros for empty ones."""
    boxes = np.zeros((len(masks), 4), dtype=np.float32)
    for box, mask in zip(boxes, masks):
        rows = np.flatnonzero(mask.any(axis=1))
        columns = np.flatnonzero(mask.any(axis=0))
        if not rows.size:
            continue
        box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes


def find_polygons(
    mask: np.ndarray, tolerance: float = 0.75
) -> List[np.ndarray]:
    """Outline the connected parts of a mask.

    Args:
        mask: bool (H, W).
        tolerance: By how many pixels a polygon may leave the edges of
            pixels; at 0 the centres of the mask's pixels, and no others, are
            inside. Holes that are not larger than that are filled.

    Returns:
        For each part the corners (n, 2), x and y in pixels, n >= 3.
    """
    if not mask.any():
        return []
    left, top, right, bottom = map(int, boxes_of_masks([mask])[0])
    part = mask[top:bottom, left:right]
    # Pixels are the odd cells and their corners the even ones, so that
    # OpenCV, which walks through the middle of cells, walks along edges.
    grid = np.zeros((2 * part.shape[0] + 1, 2 * part.shape[1] + 1), np.uint8)
    grid[1::2, 1::2] = part
    grid = cv2.dilate(grid, np.ones((3, 3), np.uint8))
    loops, tree = cv2.findContours(
        grid, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    found: Dict[int, List[np.ndarray]] = {}
    # Outlines first, then the holes in them.
    order = sorted(range(len(loops)), key=lambda i: tree[0][i][3] >= 0)
    for index in order:
        outline = tree[0][index][3]
        loop = cv2.approxPolyDP(loops[index], 2 * tolerance, True)
        if len(loop) < 3:
            if outline >= 0:
                continue
            loop = loops[index]
        key = index if outline < 0 else outline
        points = loop[:, 0] / 2 + np.array([left, top])
        found.setdefault(key, []).append(points)
    return [join_polygons(loops) for loops in found.values()]


def join_polygons(loops: Sequence[np.ndarray]) -> np.ndarray:
    """Join closed polygons to one, by seams where they are nearest."""
    whole = loops[0]
    for loop in loops[1:]:
        distances, nearest = KDTree(whole).query(loop)
        start = int(distances.argmin())
        seam = int(nearest[start])
        whole = np.concatenate(
            [whole[: seam + 1], loop[start:], loop[: start + 1], whole[seam:]]
        )
    return whole


def encode_brush(mask: np.ndarray) -> List[int]:
    """Write a mask (H, W) as the run lengths of Label Studio's brush.

    Its picture has four channels, all 255 in the mask and 0 elsewhere, row by
    row. Bits, in bytes: the number of values (32), bits of a value less one
    (5), four possible sizes of a length less one (4 each); then runs, each a
    1, which size its length has (2), the length less one, and the value.
    """
    flat = np.asarray(mask, bool).ravel()
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]) + 1, len(flat))
    value = 255 * int(flat[0])
    bits = [f'{4 * len(flat):032b}{7:05b}']
    bits += [f'{size - 1:04b}' for size in _RUN_BITS]
    for length in (4 * np.diff(ends, prepend=0)).tolist():
        while length:
            run = min(length, _LONGEST_RUN)
            kind = next(i for i, n in enumerate(_RUN_BITS) if run <= 1 << n)
            size = _RUN_BITS[kind]
            bits.append(f'1{kind:02b}{run - 1:0{size}b}{value:08b}')
            length -= run
        value = 255 - value
    digits = np.frombuffer(''.join(bits).encode(), np.uint8) - ord('0')
    packed: List[int] = np.packbits(digits).tolist()
    return packed


def check_boxes(
    boxes: np.ndarray,
    size: Tuple[int, int],
    outside: bool = True,
    margin: float = 0.0,
) -> None:
    """Refuse boxes (G, 4) that no image can have.

    Args:
        boxes: x0, y0, x1, y1 in pixels.
        size: Height H and width W of the image.
        outside: Whether a box must lie in 0..W and 0..H.
        margin: By how many pixels it may leave them.

    Raises:
        ValueError: If a box is not finite, inverted or outside.
    """
    height, width = size
    for box in np.asarray(boxes, dtype=np.float64).reshape(-1, 4).tolist():
        left, top, right, bottom = box
        text = ', '.join(f'{edge:g}' for edge in box)
        if not np.isfinite(box).all():
            raise ValueError(f'box ({text}) is not finite')
        if left > right or top > bottom:
            raise ValueError(f'box ({text}) is inverted')
        over = max(-min(box), right - width, bottom - height)
        if outside and over > margin:
            raise ValueError(
                f'box ({text}) is outside the image, which is {width} x '
                f'{height}'
            )
