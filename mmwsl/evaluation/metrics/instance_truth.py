"""True instances of a sample, with masks or from class masks.

n: objects of an image. (H, W): size of the image in pixels.
"""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Optional

import numpy as np

from mmwsl.evaluation.metrics.fields import array, field, image_name, pixels

MASK_SOURCES = ('instances', 'single')
IGNORE_INDEX = 255


class InstanceTruth(NamedTuple):
    """The instances of one image."""

    labels: np.ndarray  # (n',) classes of the instances with masks
    masks: np.ndarray  # bool (n', H, W)
    ignored: np.ndarray  # bool (n',) those that do not count
    unknown: np.ndarray  # classes whose instances have no masks
    valid: Optional[np.ndarray]  # bool (H, W) pixels that count, None for all
    num_objects: int  # n


def instance_truth(sample: Mapping[str, Any], source: str) -> InstanceTruth:
    """Read the true instances of a sample.

    Args:
        sample (Mapping): A data sample as a dict, with ``gt_instances``.
        source (str): 'instances' takes ``gt_instances.masks``. 'single' is
            for data with class masks alone: where an object is the only one
            of its class, the mask of the class in ``gt_sem_seg`` is its
            mask; classes with several objects are unknown in that image, and
            ignored pixels of the class masks do not count.

    Returns:
        InstanceTruth: Difficult objects are ignored.

    Raises:
        ValueError: If something is missing; names the image and what
            provides it.
    """
    instances = field(sample, 'gt_instances')
    labels = array(instances['labels']).astype(np.int64).reshape(-1)
    ignored = np.zeros(len(labels), dtype=bool)
    if 'difficult' in instances:
        ignored = array(instances['difficult']).astype(bool).reshape(-1)
    if source == 'single':
        return _from_class_masks(sample, labels, ignored)
    if 'masks' not in instances:
        raise ValueError(
            f'{image_name(sample)}: gt_instances has no masks: the '
            "evaluation pipeline needs dict(type='LoadEvalAnnotations', "
            'with_masks=True); for data with class masks only set '
            "masks='single'"
        )
    masks = array(instances['masks']).astype(bool)
    unknown = np.zeros(0, dtype=np.int64)
    return InstanceTruth(labels, masks, ignored, unknown, None, len(labels))


def _from_class_masks(
    sample: Mapping[str, Any], labels: np.ndarray, ignored: np.ndarray
) -> InstanceTruth:
    seg_map = pixels(sample, 'gt_sem_seg')
    classes, counts = np.unique(labels, return_counts=True)
    single = np.flatnonzero(np.isin(labels, classes[counts == 1]))
    masks = seg_map == labels[single][:, None, None] + 1
    # An object that the class mask does not show has no mask.
    seen = masks.any(axis=(1, 2))
    known = single[seen]
    return InstanceTruth(
        labels[known],
        masks[seen],
        ignored[known],
        np.setdiff1d(classes, labels[known]),
        seg_map != IGNORE_INDEX,
        len(labels),
    )


def check_mask_source(source: str) -> None:
    """Raise ValueError unless ``source`` is one of those above."""
    if source not in MASK_SOURCES:
        raise ValueError(f'masks must be one of {MASK_SOURCES}: {source!r}')
