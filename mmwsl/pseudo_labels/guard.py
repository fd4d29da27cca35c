"""Refusing ground truth as pseudo labels."""

import os
from typing import Sequence

import numpy as np

from mmwsl.datasets.transforms.masks import read_index_mask

# Folders of masks in the data sets that we know.
TRUTH_NAMES = (
    'SegmentationClass',
    'SegmentationClassAug',
    'SegmentationObject',
    'SegmentationBody',
)
IGNORE = 255


def check_source(
    folder: str, paths: Sequence[str], truth: Sequence[str], samples: int = 50
) -> None:
    """Check the label maps that a segmentor is to be trained on.

    Refused are folders of ground truth, also behind links and under names
    that data sets give them, and copies of ground truth: label maps most of
    which equal the mask of their image.

    Args:
        folder: Folder of the label maps.
        paths: The label maps of all images, under ``folder``.
        truth: Folders of masks that supervision does not have.
        samples: How many label maps are compared with masks.

    Raises:
        FileNotFoundError: If label maps are missing.
        ValueError: If they are ground truth.
    """
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing:
        raise FileNotFoundError(
            f'{folder}: {len(missing)} of {len(paths)} pseudo labels are '
            f'missing, the first is {missing[0]}'
        )
    for place in [folder, *sorted({os.path.dirname(path) for path in paths})]:
        _check_place(place, truth)
    step = max(1, len(paths) // max(1, samples))
    for place in truth:
        equal = compared = 0
        for path in paths[::step]:
            mask_path = os.path.join(place, os.path.relpath(path, folder))
            if not os.path.isfile(mask_path):
                continue
            _check_place(os.path.dirname(os.path.realpath(path)), truth)
            label, mask = read_index_mask(path), read_index_mask(mask_path)
            # Two empty label maps may well be equal.
            if ((mask > 0) & (mask != IGNORE)).any():
                compared += 1
                equal += np.array_equal(label, mask)
        if equal > compared / 2:
            raise ValueError(
                f'{folder}: {equal} of {compared} label maps equal the masks '
                f'in {place}; ground truth is no pseudo label'
            )


def _check_place(path: str, truth: Sequence[str]) -> None:
    """Refuse a folder that is, or lies in, one of ground truth."""
    real = os.path.realpath(path)
    inside = any(
        os.path.commonpath([real, place]) == place
        for place in map(os.path.realpath, truth)
    )
    if inside or set(real.split(os.sep)) & set(TRUTH_NAMES):
        raise ValueError(
            f'{path}: is a folder of ground truth; train on pseudo labels'
        )
