"""Regions that a classifier looks at, step by step.

Adversarial erasing, https://arxiv.org/abs/1703.08448.

Shape shorthand: K classes, (H, W) the image.
"""

import io
import os
from typing import Optional, Tuple

import numpy as np

from mmwsl.pseudo_labels.checks import (
    IGNORE,
    Array,
    check_classes,
    check_map,
    check_range,
)
from mmwsl.utils.files import write_whole
from mmwsl.utils.masks import pack_masks, unpack_masks

MODES = ('top', 'relative')


def mine_regions(
    map: Array, mode: str = 'top', fraction: float = 0.2
) -> np.ndarray:
    """Return the region of one class map.

    The paper's "top 20 %" can be read in two ways: the 20 % of the pixels
    with the highest values ('top'), or the pixels above 80 % of the maximum
    ('relative'). Only positive values are mined, and 'top' takes earlier
    pixels, row by row, where values are equal.

    Args:
        map: Float (H, W).
        mode: 'top' or 'relative'.
        fraction: Share of the pixels, or how far below the maximum.

    Returns:
        bool (H, W).

    Raises:
        TypeError: If the map is not of floats.
        ValueError: If the mode is unknown, the fraction not in [0, 1] or a
            value of the map not finite.
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {MODES}, got '{mode}'")
    if not 0 <= fraction <= 1:
        raise ValueError(f'fraction must be in [0, 1], got {fraction}')
    map = check_map(map, 'map')
    number = int(fraction * map.size + 0.5)
    if not map.size or (mode == 'top' and not number):
        return np.zeros(map.shape, bool)
    if mode == 'relative':
        return (map > 0) & (map > (1 - fraction) * map.max())
    limit = np.partition(map, map.size - number, axis=None)[-number]
    region = map > limit
    ties = np.flatnonzero(map == limit)
    region.flat[ties[: number - np.count_nonzero(region)]] = True
    return region & (map > 0)


def regions_to_label(
    regions: np.ndarray,
    labels: np.ndarray,
    saliency: np.ndarray,
    saliency_threshold: float = 0.06,
) -> np.ndarray:
    """Make a label map of mined regions and saliency.

    Pixels of one region get its class, pixels outside that are not salient
    become background. What several classes claim, what is in a region but
    not salient, and the rest are ignored.

    Args:
        regions: bool (K, H, W), the union over the steps.
        labels: Their class indices (K,).
        saliency: Float (H, W) in [0, 1].
        saliency_threshold: Saliency below it is background.

    Returns:
        uint8 (H, W): 0 background, c + 1 class c, 255 ignored.

    Raises:
        ValueError: If the sizes differ, the saliency is outside [0, 1] or
            the labels are not different classes of a label map.
    """
    if regions.shape[1:] != saliency.shape or len(regions) != len(labels):
        raise ValueError(
            f'regions {regions.shape}, labels {np.shape(labels)} and '
            f'saliency {saliency.shape} do not fit together'
        )
    check_range(saliency, 'saliency', 0, 1)
    labels = check_classes(labels, 'labels', len(regions))
    background = saliency < saliency_threshold
    claims = regions.sum(axis=0) + background
    label = np.full(saliency.shape, IGNORE, np.uint8)
    label[background] = 0
    for region, index in zip(regions, labels):
        label[region] = index + 1
    label[claims != 1] = IGNORE
    return label


def write_regions(path: str, regions: np.ndarray, labels: np.ndarray) -> None:
    """Write the regions of an image; whole or not at all.

    Args:
        path: File to write, a ``.npz``; its folder is created.
        regions: bool (K, H, W).
        labels: Their class indices (K,).

    Raises:
        ValueError: If the labels are not different classes.
    """
    labels = check_classes(labels, f'{path}: labels', len(regions))
    buffer = io.BytesIO()
    np.savez(
        buffer,
        bits=pack_masks(regions),
        size=np.array(regions.shape[1:], np.int64),
        labels=labels,
    )
    write_whole(path, buffer.getvalue())


def read_regions(
    path: str, size: Optional[Tuple[int, int]] = None
) -> Tuple[np.ndarray, np.ndarray]:
    """Read what :func:`write_regions` wrote.

    Args:
        path: The file.
        size: Height and width that the regions must have.

    Returns:
        Regions bool (K, H, W) and their class indices (K,).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is broken or of another size.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{path}: the file of regions does not exist')
    try:
        with np.load(path, allow_pickle=False) as file:
            height, width = file['size'].tolist()
            masks = unpack_masks(file['bits'], (height, width))
            labels = check_classes(file['labels'], 'labels', len(masks))
    except Exception as error:
        raise ValueError(f'{path}: cannot be read: {error}') from error
    if size is not None and masks.shape[1:] != tuple(size):
        raise ValueError(
            f'{path}: regions are {width} x {height} pixels, but the image '
            f'is {size[1]} x {size[0]}'
        )
    return masks, labels
