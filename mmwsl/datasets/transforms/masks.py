"""Reading masks: indexed pictures, polygons and run lengths."""

from typing import Any, Dict, Tuple

import numpy as np

from mmwsl.structures.run_lengths import decode_mask
from mmwsl.utils.images import read_plane


def read_index_mask(path: str) -> np.ndarray:
    """Read a mask that holds one index a pixel.

    Args:
        path (str): A palette picture, or a grey one.

    Returns:
        np.ndarray: uint8 or uint16 (H, W), the indices, not the colours, of
        a palette.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is broken, a colour picture, or holds what are no
            indices below 65536.
    """
    mask = read_plane(path, 'mask')
    low, high = mask.min(), mask.max()
    if mask.dtype.kind == 'f' or low < 0 or high > 65535:
        raise ValueError(
            f'{path}: mask holds {mask.dtype} values {low} to {high}, which '
            'are no indices'
        )
    return mask.astype(np.uint8 if high < 256 else np.uint16)


def decode_segmentation(
    segmentation: Any, shape: Tuple[int, int], name: str
) -> np.ndarray:
    """Decode a COCO segmentation.

    Args:
        segmentation (list | dict): Polygons as lists of x, y, or run lengths
            as in COCO.
        shape (tuple[int]): Height and width of the image.
        name (str): What to call the image in an error.

    Returns:
        np.ndarray: bool (H, W).

    Raises:
        ValueError: If run lengths are broken or of another size.
    """
    if isinstance(segmentation, list):
        mask = np.zeros(shape, dtype=bool)
        for polygon in segmentation:
            mask |= fill_polygon(np.reshape(polygon, (-1, 2)), shape)
        return mask
    decoded = decode_mask(segmentation, name)
    if decoded.shape != tuple(shape):
        raise ValueError(
            f'{name}: mask is {decoded.shape[1]} x {decoded.shape[0]} pixels, '
            f'but its image is {shape[1]} x {shape[0]}'
        )
    return decoded


def fill_polygon(points: np.ndarray, shape: Tuple[int, int]) -> np.ndarray:
    """Mark the pixels whose centres lie in a polygon.

    Args:
        points (np.ndarray): Corners (k, 2) as x, y; (0, 0) is the outer
            corner of the first pixel, whose centre is (0.5, 0.5).
        shape (tuple[int]): Height H and width W.

    Returns:
        np.ndarray: bool (H, W); even-odd rule.
    """
    height, width = shape
    crossings = np.zeros((height, width + 1), dtype=np.int64)
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0)):
        low, high = np.ceil(np.clip(sorted((y1, y2)), 0, height) - 0.5)
        rows = np.arange(int(low), int(high))
        if rows.size:
            x = x1 + (rows + 0.5 - y1) * (x2 - x1) / (y2 - y1)
            columns = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
            crossings[rows, columns] += 1
    inside: np.ndarray = crossings.cumsum(axis=1)[:, :width] % 2 == 1
    return inside


def class_masks_of_instances(
    annotation: Dict[str, Any], shape: Tuple[int, int], name: str
) -> np.ndarray:
    """Paint the classes of listed instances, the largest one first.

    Args:
        annotation (dict): ``segmentations`` and ``labels`` of the objects.
        shape (tuple[int]): Height H and width W of the image.
        name (str): What to call the image in an error.

    Returns:
        np.ndarray: int64 (H, W), 0 background, c + 1 class c.

    Raises:
        ValueError: If a class would be written as 255, which means ignored.
    """
    labels = annotation['labels']
    if len(labels) and labels.max() >= 254:
        raise ValueError(
            f'{name}: class masks hold at most 254 classes, but an object '
            f'has the class index {labels.max()}'
        )
    masks = [
        decode_segmentation(item, shape, name)
        for item in annotation['segmentations']
    ]
    seg_map = np.zeros(shape, dtype=np.int64)
    for index in sorted(range(len(masks)), key=lambda i: -masks[i].sum()):
        seg_map[masks[index]] = labels[index] + 1
    return seg_map
