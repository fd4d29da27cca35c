"""Folders of regions, one for each step of adversarial erasing.

::

    root/step_1/<image id>.npz     regions of the first classifier
    root/step_2/<image id>.npz     of the second, and so on
    root/union/<image id>.npz      of all of them

Shape shorthand: K classes, (H, W) the image.
"""

import hashlib
import os
from typing import Dict, Sequence, Tuple

import numpy as np

from mmwsl.pseudo_labels.regions import read_regions
from mmwsl.utils.files import join_inside


def step_folder(root: str, step: int) -> str:
    """Return the folder of a step, counted from 1."""
    return os.path.join(root, f'step_{step}')


def region_file(folder: str, img_id: str) -> str:
    """Return the file of an image's regions."""
    return join_inside(folder, img_id, '.npz')


def digest_regions(folder: str, img_ids: Sequence[str]) -> str:
    """Return a digest of all regions of a step.

    Args:
        folder: The folder of the step.
        img_ids: The images that it must hold.

    Returns:
        SHA-256 in hexadecimal digits.

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
    """Check that the regions of steps are still what they were.

    Args:
        root: The folder of the steps.
        digests: What :func:`digest_regions` gave for each step.
        img_ids: The images.

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
    """Return the union of an image's regions over steps.

    Args:
        root: The folder of the steps.
        steps: How many of them, at least 1.
        img_id: The image.

    Returns:
        Regions bool (K, H, W) and their class indices (K,), ascending.

    Raises:
        FileNotFoundError: If a step lacks the image.
        ValueError: If a file is broken, or of another size than the first.
    """
    path = region_file(step_folder(root, 1), img_id)
    size = read_regions(path)[0].shape[1:]
    union: Dict[int, np.ndarray] = {}
    for step in range(1, steps + 1):
        path = region_file(step_folder(root, step), img_id)
        for region, label in zip(*read_regions(path, (size[0], size[1]))):
            known = union.get(int(label))
            union[int(label)] = region if known is None else known | region
    labels = np.array(sorted(union), np.int64)
    regions = [union[label] for label in labels.tolist()]
    return np.array(regions, bool).reshape(len(labels), *size), labels
