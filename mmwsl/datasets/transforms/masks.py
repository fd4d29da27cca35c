"""Reading masks: indexed pictures, polygons and run lengths."""

import os
from typing import Any, Dict, Tuple

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError


def read_index_mask(path: str) -> np.ndarray:
    """Read a mask that holds one index a pixel.

    Args:
        path (str): A palette or grey picture.

    Returns:
        np.ndarray: (H, W), the indices, not the colours, of a palette.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is broken or a colour picture.
    """
    mask = read_plane(path, 'mask')
    return mask.astype(np.uint8) if mask.dtype == bool else mask


def read_plane(path: str, what: str) -> np.ndarray:
    """Read a picture of one plane as it is stored.

    Args:
        path (str): A palette, grey or black and white picture.
        what (str): What it is, for the errors.

    Returns:
        np.ndarray: (H, W), bool, uint8, uint16 or int32.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is broken or a colour picture.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{path}: {what} does not exist')
    try:
        with Image.open(path) as picture:
            mode, plane = picture.mode, np.array(picture)
    except (OSError, UnidentifiedImageError, SyntaxError) as error:
        raise ValueError(f'{path}: {what} cannot be decoded') from error
    if plane.ndim != 2:
        raise ValueError(
            f'{path}: {what} is a colour picture ({mode}); it must hold one '
            'value a pixel'
        )
    return plane


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
        ImportError: If compressed run lengths are met without pycocotools.
        ValueError: If run lengths do not fill the image.
    """
    if isinstance(segmentation, list):
        mask = np.zeros(shape, dtype=np.uint8)
        for polygon in segmentation:
            points = np.array(polygon, dtype=np.float64).reshape(-1, 2)
            # OpenCV puts integers at pixel centres, COCO at pixel corners.
            points = np.floor(points).astype(np.int32)
            cv2.fillPoly(mask, [points.reshape(-1, 1, 2)], 1)
        return mask.astype(bool)
    size = tuple(segmentation['size'])
    if size != tuple(shape):
        raise ValueError(
            f'{name}: mask is {size[1]} x {size[0]} pixels, but its image is '
            f'{shape[1]} x {shape[0]}'
        )
    if isinstance(segmentation['counts'], list):
        return _decode_run_lengths(segmentation['counts'], shape, name)
    try:
        from pycocotools import mask as coco_mask
    except ImportError as error:
        raise ImportError(
            f'{name}: compressed run lengths need pycocotools: '
            'pip install pycocotools'
        ) from error
    return np.asarray(coco_mask.decode(segmentation)).astype(bool)


def _decode_run_lengths(
    counts: Any, shape: Tuple[int, int], name: str
) -> np.ndarray:
    """Decode run lengths of 0, 1, 0, ... in column-major order."""
    values = np.arange(len(counts)) % 2 == 1
    pixels = np.repeat(values, counts)
    if pixels.size != shape[0] * shape[1]:
        raise ValueError(f'{name}: run lengths do not fill the image')
    return pixels.reshape(shape[1], shape[0]).T


def class_masks_of_instances(
    annotation: Dict[str, Any], shape: Tuple[int, int], name: str
) -> np.ndarray:
    """Paint the classes of listed instances, the largest one first.

    Crowd regions are painted like objects, where ``crowd`` lists them.

    Args:
        annotation (dict): ``segmentations`` and ``labels`` of the objects
            and optionally ``crowd_segmentations`` and ``crowd_labels``.
        shape (tuple[int]): Height and width of the image.
        name (str): What to call the image in an error.

    Returns:
        np.ndarray: uint8 or uint16 (H, W), 0 background, c + 1 class c.
    """
    items = list(annotation['segmentations']) + list(
        annotation.get('crowd_segmentations', ())
    )
    labels = list(annotation['labels']) + list(
        annotation.get('crowd_labels', ())
    )
    masks = [decode_segmentation(item, shape, name) for item in items]
    seg_map = np.zeros(shape, dtype=np.int32)
    for index in sorted(range(len(masks)), key=lambda i: -masks[i].sum()):
        # 255 means ignored, so class 254 and those after it are shifted.
        value = int(labels[index]) + 1
        seg_map[masks[index]] = value
    return seg_map
