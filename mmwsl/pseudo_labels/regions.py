"""Regions that a classifier looks at, step by step.

Adversarial erasing, https://arxiv.org/abs/1703.08448. On disk::

    root/step_1/<image id>.npz     regions of the first classifier
    root/step_2/<image id>.npz     of the second, and so on
    root/union/<image id>.npz      of all of them

Shape shorthand: K classes, (H, W) the image.
"""

import hashlib
import os
from typing import Dict, Optional, Sequence, Tuple

import numpy as np

from mmwsl.pseudo_labels.labels import (
    IGNORE,
    Array,
    check_classes,
    check_plane,
    check_range,
)
from mmwsl.utils.arrays import check_same_size
from mmwsl.utils.files import join_inside, naming, read_arrays, write_arrays
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
    map = check_plane(map, 'map', kind='floats')
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
        A label map uint8 (H, W).

    Raises:
        ValueError: If sizes differ, the saliency is outside [0, 1] or labels
            are not different classes of a label map.
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
        labels: Their class indices (K,), all different.
    """
    write_arrays(
        path,
        bits=pack_masks(regions),
        size=np.array(regions.shape[1:], np.int64),
        labels=check_classes(labels, f'{path}: labels', len(regions)),
    )


def read_regions(
    path: str, size: Optional[Tuple[int, int]] = None
) -> Tuple[np.ndarray, np.ndarray]:
    """Read what :func:`write_regions` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is broken, or ``size``, height and width, is
            another one.
    """
    with naming(path):
        file = read_arrays(path, 'the file of regions')
        height, width = file['size'].tolist()
        masks = unpack_masks(file['bits'], (height, width))
        labels = check_classes(file['labels'], 'labels', len(masks))
    if size is not None:
        what = f'{path}: regions are'
        check_same_size(what, masks.shape[1:], 'the image is', size)
    return masks, labels


def step_folder(root: str, step: int) -> str:
    """Return the folder of a step, counted from 1."""
    return os.path.join(root, f'step_{step}')


def region_file(folder: str, img_id: str) -> str:
    """Return the file of an image's regions."""
    return join_inside(folder, img_id, '.npz')


def digest_regions(folder: str, img_ids: Sequence[str]) -> str:
    """Return a digest of the regions of images in the folder of a step.

    Raises:
        FileNotFoundError: If images are missing.
    """
    paths = [region_file(folder, img_id) for img_id in img_ids]
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing:
        raise FileNotFoundError(
            f'{folder}: the regions of {len(missing)} of {len(paths)} images '
            f'are missing, the first is {missing[0]}'
        )
    digest = hashlib.sha256()
    for path in paths:
        with open(path, 'rb') as file:
            digest.update(file.read())
    return digest.hexdigest()


def check_digests(
    root: str, digests: Sequence[str], img_ids: Sequence[str]
) -> None:
    """Check that regions have the digests that each step had.

    Raises:
        FileNotFoundError: If images are missing.
        ValueError: If regions have changed.
    """
    for number, digest in enumerate(digests, 1):
        folder = step_folder(root, number)
        if digest_regions(folder, img_ids) != digest:
            raise ValueError(
                f'{folder}: these are not the regions that the checkpoint '
                'goes on from; train anew'
            )


def merge_steps(
    root: str, steps: int, img_id: str
) -> Tuple[np.ndarray, np.ndarray]:
    """Return the union of an image's regions over the first steps.

    Returns:
        Regions bool (K, H, W) and their class indices (K,), ascending.

    Raises:
        FileNotFoundError: If a step lacks the image.
        ValueError: If a file is broken, or of another size than the first.
    """
    size: Optional[Tuple[int, int]] = None
    union: Dict[int, np.ndarray] = {}
    for step in range(1, steps + 1):
        path = region_file(step_folder(root, step), img_id)
        regions, labels = read_regions(path, size)
        size = regions.shape[1], regions.shape[2]
        for region, label in zip(regions, labels.tolist()):
            union[label] = region | union.get(label, False)
    merged = np.array([union[label] for label in sorted(union)], bool)
    shape = len(union), *regions.shape[1:]
    return merged.reshape(shape), np.array(sorted(union), np.int64)
