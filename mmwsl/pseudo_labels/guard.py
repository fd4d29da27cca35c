"""Refusing ground truth as pseudo labels."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Optional, Sequence

import numpy as np

from mmwsl.pseudo_labels.labels import IGNORE
from mmwsl.utils.arrays import check_same_size
from mmwsl.utils.images import image_size, read_index_mask, read_plane

# Folders of masks in the data sets that we know.
TRUTH_NAMES = (
    'SegmentationClass',
    'SegmentationClassAug',
    'SegmentationObject',
    'SegmentationBody',
)
# Share of equal pixels from which a label map is a copied mask.
_EQUAL = 0.999


def check_source(
    folder: str, paths: Sequence[str], truth: Sequence[str], samples: int = 50
) -> None:
    """Check the label maps that a segmentor is to be trained on.

    Refused are folders of ground truth, also behind links and under names
    that data sets give them, and copies of ground truth: label maps most of
    which equal the mask of their image, but for a few pixels and for those
    that the mask leaves out.

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
    check_origin(folder, paths, truth, samples)


def check_origin(
    folder: str, paths: Sequence[str], truth: Sequence[str], samples: int = 50
) -> None:
    """Refuse ground truth as :func:`check_source` does.

    Label maps that do not exist are passed over, and masks are found by the
    label maps' names under ``folder``.
    """
    paths = [path for path in paths if os.path.isfile(path)]
    # Files may be links as well.
    files = [*paths, *map(os.path.realpath, paths)]
    for place in [folder, *sorted({os.path.dirname(path) for path in files})]:
        check_place(place, truth)
    step = max(1, len(paths) // max(1, samples))
    for place in truth:
        equal = compared = 0
        for path in paths[::step]:
            mask_path = os.path.join(place, os.path.relpath(path, folder))
            if not os.path.isfile(mask_path):
                continue
            label, mask = read_index_mask(path), read_index_mask(mask_path)
            # Two empty label maps may well be equal.
            if ((mask > 0) & (mask != IGNORE)).any():
                compared += 1
                equal += nearly_equal(label, mask)
        if equal > compared / 2:
            raise ValueError(
                f'{folder}: {equal} of {compared} label maps equal the masks '
                f'in {place}; ground truth is no pseudo label'
            )


def nearly_equal(label: np.ndarray, mask: np.ndarray) -> bool:
    """Whether a label map is a mask, but for what no prediction hits.

    Pixels that either of them ignores do not count, as masks of which some
    pixels have been taken out are masks still. A label map that shows less
    than half of the objects' pixels is none: few pixels may well be right.
    The mask must show an object.
    """
    if label.shape != mask.shape:
        return False
    known = (label != IGNORE) & (mask != IGNORE)
    # A tiny object may be missing in a label map that is right elsewhere.
    objects = (mask > 0) & (mask != IGNORE)
    if 2 * (objects & known).sum() < objects.sum():
        return False
    good = label == mask
    shares = good[known].mean(), good[objects & known].mean()
    return bool(min(shares) >= _EQUAL)


def check_label_maps(
    images: Sequence[str],
    paths: Sequence[str],
    num_values: Optional[int] = None,
) -> None:
    """Check that label maps fit their images and hold known classes.

    Every label map is decoded, for a broken one would end a training in the
    middle of an epoch.

    Args:
        images: The images.
        paths: The label map of each.
        num_values: Values from 0 on that a label map may hold, besides 255;
            None if that is not known.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a label map is not so; names the first one.
    """

    def check(image: str, path: str) -> None:
        size = image_size(image)
        label = read_plane(path, 'pseudo label')
        what, other = f'{path}: the pseudo label is', f'its image {image} is'
        check_same_size(what, label.shape, other, size)
        if num_values is None:
            return
        unknown = (label >= num_values) & (label != IGNORE)
        if unknown.any():
            raise ValueError(
                f'{path}: the pseudo label holds {label[unknown][0]}, which '
                f'is no class: there are 0..{num_values - 1}, and {IGNORE} '
                'is ignored'
            )

    # Pillow decodes without Python's lock.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for _ in pool.map(check, images, paths):
            pass


def check_place(path: str, truth: Sequence[str] = ()) -> None:
    """Refuse a folder that is, or lies in, one of ground truth.

    Raises:
        ValueError: If it is in one of ``truth``, or in one with a name that
            data sets give it.
    """
    real = os.path.realpath(path)
    inside = any(
        os.path.commonpath([real, place]) == place
        for place in map(os.path.realpath, truth)
    )
    if inside or set(real.split(os.sep)) & set(TRUTH_NAMES):
        raise ValueError(
            f'{path}: is a folder of ground truth, which is no pseudo label'
        )
