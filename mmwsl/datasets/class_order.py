"""Data sets whose classes stand in another order."""

from typing import Any, Sequence

import numpy as np

from mmwsl.datasets.base import WSLDataset


def renumber_classes(dataset: Any, classes: Sequence[str]) -> None:
    """Give a data set's labels the numbers that another list of names says.

    Labels, counts, boxes and masks are renumbered when they are loaded.

    Args:
        dataset: A data set of mmwsl or mmseg, also within wrappers.
        classes: All names of the data set, and maybe more.

    Raises:
        ValueError: If a name is missing, or if the data set is of another
            kind.
    """
    for inner in getattr(dataset, 'datasets', ()):
        renumber_classes(inner, classes)
    if hasattr(dataset, 'dataset'):
        renumber_classes(dataset.dataset, classes)
    elif not hasattr(dataset, 'datasets'):
        _renumber(dataset, list(classes))
    if isinstance(getattr(dataset, '_metainfo', None), dict):
        dataset._metainfo['classes'] = list(classes)


def _renumber(dataset: Any, classes: Sequence[str]) -> None:
    old = dataset.metainfo['classes']
    missing = [name for name in old if name not in classes]
    if missing:
        raise ValueError(
            f'classes cannot be matched by name: {missing[0]!r} of '
            f'{type(dataset).__name__} is not among {", ".join(classes)}.'
        )
    table = [classes.index(name) for name in old]
    palette = dataset.metainfo.get('palette')
    if palette and len(palette) == len(classes) == len(old):
        order = np.argsort(table)
        dataset._metainfo['palette'] = [palette[i] for i in order]
    else:
        dataset._metainfo.pop('palette', None)
    if isinstance(dataset, WSLDataset):
        dataset.class_numbers = (np.array(table), len(classes))
    elif hasattr(dataset, 'label_map'):
        # A data set of mmseg: values of masks to classes.
        known = dataset.label_map or {i: i for i in range(len(old))}
        dataset.label_map = {
            value: label if label == dataset.ignore_index else table[label]
            for value, label in known.items()
        }
        dataset._metainfo['label_map'] = dataset.label_map
        dataset._fully_initialized = False
        dataset.full_init()
    else:
        raise ValueError(
            f'classes of a {type(dataset).__name__} cannot be matched by name.'
        )
