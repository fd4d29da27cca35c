"""Class maps on disk that label maps are made of.

K: maps of an image.
"""

from __future__ import annotations

from typing import Tuple

import numpy as np

from mmwsl.evaluation.files import read_maps
from mmwsl.pseudo_labels.checks import check_classes, check_range


def read_class_maps(path: str) -> Tuple[np.ndarray, np.ndarray]:
    """Read the class maps of one image and check them.

    Args:
        path (str): A ``.npz`` with ``maps`` (K, H, W) and ``labels`` (K,).

    Returns:
        tuple: Maps float32 (K, H, W) and class indices int64 (K,).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If shapes do not fit, values are not finite or labels
            are not different classes; names the file.
    """
    if not path.endswith('.npz'):
        raise ValueError(
            f'{path}: class maps are .npz files with maps (K, H, W) and '
            'labels (K,)'
        )
    maps, labels = read_maps(path, -1)
    with np.errstate(over='ignore'):
        planes = maps.astype(np.float32)
    check_range(planes, f'{path}: maps')
    return planes, check_classes(labels, f'{path}: labels', len(planes))
