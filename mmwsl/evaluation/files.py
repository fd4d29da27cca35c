"""Read scores and maps that other programs wrote.

Readers raise a FileNotFoundError where there is no file, and a ValueError
that names the file if its content is not as described.

n: images. C: classes of the dataset. K: maps of an image. Image ids are
without suffix.
"""

from __future__ import annotations

import json
import os
import re
from typing import (
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import numpy as np

from mmwsl.datasets.files import (
    files_by_id,
    read_names,
    read_rows,
    without_suffix,
)
from mmwsl.datasets.label_lists import (
    is_number,
    parse_labels,
    read_csv,
    read_label_file,
)
from mmwsl.datasets.voc import VOC_CLASSES
from mmwsl.pseudo_labels.labels import check_classes, check_range
from mmwsl.utils.files import naming, read_arrays, write_whole
from mmwsl.utils.masks import whole_numbers

MAP_SUFFIXES = ('.npz', '.npy', '.png')


class ClassScores(NamedTuple):
    """Image ids (n,), scores (n, C) and, if the file has them, names (C,)."""

    ids: List[str]
    scores: np.ndarray
    classes: Optional[List[str]]


def read_class_scores(path: str, key: str = 'scores') -> ClassScores:
    """Read the class scores, or other numbers called ``key``, of many images.

    The file is a ``.npz`` with ``ids`` (n,), ``scores`` (n, C) and perhaps
    ``classes`` (C,), or a ``.csv`` with an image and C numbers in each line
    and perhaps a header with class names.
    """
    if path.endswith('.npz'):
        data = read_arrays(path)
        if 'ids' not in data or key not in data:
            raise ValueError(
                f'{path}: expected the arrays ids and {key}, found '
                f'{sorted(data)}'
            )
        ids = [str(x) for x in data['ids'].tolist()]
        scores, names = data[key], data.get('classes')
        classes = None if names is None else [str(x) for x in names.tolist()]
    else:
        ids, scores, classes = _read_score_csv(path)
    if scores.ndim != 2 or len(scores) != len(ids):
        raise ValueError(
            f'{path}: {key} have shape {scores.shape}, expected one row of '
            f'class {key} for each of {len(ids)} ids'
        )
    if scores.dtype.kind not in 'buif':
        raise ValueError(f'{path}: {key} are {scores.dtype}, not numbers')
    if classes is not None and len(classes) != scores.shape[1]:
        raise ValueError(
            f'{path}: {len(classes)} class names for {scores.shape[1]} {key}'
        )
    ids = [without_suffix(x) for x in ids]
    for name, row in zip(ids, scores):
        if not np.isfinite(row).all():
            raise ValueError(f'{path}: {name}: {key} hold NaN or infinity')
    if len(set(ids)) != len(ids):
        double = next(x for x in ids if ids.count(x) > 1)
        raise ValueError(f'{path}: {double} occurs more than once')
    return ClassScores(ids, scores, classes)


def rows_of_images(
    given: ClassScores,
    img_ids: Sequence[str],
    classes: Sequence[str],
    path: str,
    what: str = 'scores',
) -> np.ndarray:
    """Bring the numbers of a file (n, C) into the order of the truth.

    Raises:
        ValueError: If classes differ or an image is missing.
    """
    width = given.scores.shape[1]
    if width != len(classes):
        raise ValueError(
            f'{path}: {width} {what} for each image, but there are '
            f'{len(classes)} classes'
        )
    columns = list(range(width))
    if given.classes and sorted(given.classes) != sorted(classes):
        unknown = sorted(set(given.classes) - set(classes))
        raise ValueError(f'{path}: unknown class names {unknown}')
    if given.classes:
        columns = [given.classes.index(name) for name in classes]
    rows = {img_id: row for row, img_id in enumerate(given.ids)}
    missing = [img_id for img_id in img_ids if img_id not in rows]
    if missing:
        raise ValueError(
            f'{path}: no {what} for {len(missing)} of {len(img_ids)} images, '
            f'the first is {missing[0]}'
        )
    return given.scores[[rows[img_id] for img_id in img_ids]][:, columns]


def _read_score_csv(
    path: str,
) -> Tuple[List[str], np.ndarray, Optional[List[str]]]:
    rows = [cells for _, cells in read_csv(path, 'score file')]
    classes = None
    if rows and not any(map(is_number, rows[0][1:])):
        classes = rows.pop(0)[1:]
    if not rows:
        raise ValueError(f'{path}: no line with scores')
    width = len(rows[0])
    for row in rows:
        if not all(map(is_number, row[1:])) or len(row) != width or width < 2:
            raise ValueError(
                f'{path}: {row[0]}: expected an image and {width - 1} numbers'
            )
    values = [[float(cell) for cell in row[1:]] for row in rows]
    return [row[0] for row in rows], np.array(values, np.float64), classes


def read_image_labels(path: str) -> Dict[str, List[str]]:
    """Read the labels of each image from a CSV file of labels or counts.

    See :mod:`mmwsl.datasets.label_lists`; an image may have several lines.
    """
    labels: Dict[str, List[str]] = {}
    file = read_label_file(path, 'label file')
    for number, cells in file.lines:
        known = labels.setdefault(without_suffix(cells[0]), [])
        parsed = parse_labels(f'{path}: line {number}', cells, file)
        known += [label for label, count in parsed if label and count != 0]
    if not labels:
        raise ValueError(f'{path}: label file names no image')
    return labels


def read_class_names(text: str) -> List[str]:
    """Class names from a text file with one a line, 'a,b,c', or VOC's."""
    if text == 'voc':
        return list(VOC_CLASSES)
    if os.path.isfile(text):
        return read_names(text, 'class list')
    if ',' not in text:
        raise FileNotFoundError(f'{text}: class list does not exist')
    names = [x.strip() for x in text.split(',') if x.strip()]
    if len(set(names)) < len(names):
        raise ValueError(f'{text}: class list names a class twice')
    return names


def class_indices(
    labels: Sequence[str], classes: Sequence[str], place: str
) -> np.ndarray:
    """Indices (K,) of class names, sorted; errors begin with ``place``."""
    unknown = [x for x in labels if x not in classes]
    if unknown:
        raise ValueError(
            f'{place}: class {unknown[0]!r} is not in the list of classes'
        )
    return np.array(sorted({list(classes).index(x) for x in labels}), np.int64)


def read_maps(
    path: str, num_classes: int, allow_pickle: bool = False
) -> Tuple[np.ndarray, np.ndarray]:
    """Read the class maps of one image.

    Args:
        path: A ``.npz`` with ``maps`` (K, H, W) and ``labels`` (K,); or a
            ``.npy`` with (C, H, W).
        num_classes: C.
        allow_pickle: Also read pickled dicts ``{class index: (H, W)}`` or
            with ``keys`` (K,) and ``high_res`` (K, H, W), as several CAM
            programs write them, empty ones for images without classes. A
            pickle can run any code when it is read.

    Returns:
        Maps (K, H, W) and class indices (K,); (0, 0, 0) and (0,) of an empty
        dict.
    """
    try:
        data = read_arrays(path, allow_pickle=allow_pickle)
    except ValueError as error:
        if 'a pickle' not in str(error):
            raise
        raise ValueError(
            f'{error}; eval_seeds.py does so with --allow-pickle if you trust '
            'it'
        ) from error
    if isinstance(data, np.ndarray) and data.dtype != object:
        if data.ndim != 3 or len(data) != num_classes:
            raise ValueError(
                f'{path}: shape {data.shape}, expected ({num_classes}, H, W)'
            )
        return _checked(data, np.arange(num_classes), path)
    if isinstance(data, np.ndarray):
        data = data.item() if data.ndim == 0 else None
        if data == {}:
            return np.zeros((0, 0, 0), np.float32), np.zeros(0, np.int64)
        data = data if isinstance(data, dict) else {}
    for labels, maps in (('labels', 'maps'), ('keys', 'high_res')):
        if labels in data and maps in data:
            return _checked(data[maps], data[labels], path)
    if data and all(isinstance(x, (int, np.integer)) for x in data):
        with naming(path):
            return _checked(list(data.values()), list(data), path)
    raise ValueError(
        f'{path}: expected the arrays maps and labels, found '
        f'{sorted(map(str, data))}'
    )


def _checked(
    maps: Any, labels: Any, path: str
) -> Tuple[np.ndarray, np.ndarray]:
    """Return maps and labels as arrays, if they can be that of an image."""
    maps, labels = np.asarray(maps), np.asarray(labels)
    fit = maps.ndim == 3 and labels.shape == maps.shape[:1]
    if not fit or not all(maps.shape[1:]):
        raise ValueError(
            f'{path}: expected maps (K, H, W) and labels (K,), found '
            f'{maps.shape} and {labels.shape}'
        )
    if maps.dtype.kind not in 'biuf':
        raise ValueError(f'{path}: maps hold {maps.dtype}, no numbers')
    indices = whole_numbers(labels)
    if indices is None:
        raise ValueError(
            f'{path}: labels {labels.tolist()} are no class indices'
        )
    return maps, indices


def read_class_maps(path: str) -> Tuple[np.ndarray, np.ndarray]:
    """Read a ``.npz`` of class maps that must be fit for label maps.

    Returns:
        Finite maps float32 (K, H, W) and different class indices int64 (K,).
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


def read_score_map(path: str) -> np.ndarray:
    """Read a score map (H, W) of real numbers from a ``.npy``."""
    data = read_arrays(path)
    if isinstance(data, np.ndarray) and data.ndim == 3 and len(data) == 1:
        data = data[0]
    if not isinstance(data, np.ndarray) or data.ndim != 2:
        found = getattr(data, 'shape', 'several arrays')
        raise ValueError(f'{path}: expected a map (H, W), found {found}')
    if data.dtype.kind not in 'buif':
        raise ValueError(
            f'{path}: expected a map of real numbers, found {data.dtype}'
        )
    # The machine's order of bytes is the one that torch takes.
    return data.astype(data.dtype.newbyteorder('='), copy=False)


def find_map_files(folder: str, listed: str = '') -> Dict[str, str]:
    """Find the map file of each image id, sorted, or in the order of a list.

    Raises:
        FileNotFoundError: If an image of the list has no file.
        ValueError: If the folder holds no map, or several of an image.
    """
    files = files_by_id(folder, MAP_SUFFIXES, silent=True)
    if not listed:
        return files
    ids = read_ids(listed, files.__contains__)
    missing = [img_id for img_id in ids if img_id not in files]
    if missing:
        raise FileNotFoundError(
            f'{folder}: no file for {len(missing)} of {len(ids)} images of '
            f'{listed}, the first is {missing[0]}'
        )
    return {img_id: files[img_id] for img_id in ids}


def read_ids(path: str, known: Callable[[str], Any]) -> List[str]:
    """Read the image ids of a list, each at the begin of a line.

    The longest part of a line that ``known`` takes for an image is its id,
    or else all of the line but for a flag.
    """
    ids = []
    for _, line in read_rows(path, 'list of images'):
        # Names may hold spaces.
        ends = [m.start() for m in re.finditer(r'\s+|$', line)]
        parts = [without_suffix(line[:end].strip('"')) for end in ends[::-1]]
        # VOC's lists of a class end in a flag.
        whole = without_suffix(re.sub(r'\s+(-1|0|1)$', '', line))
        ids.append(next(filter(known, parts), whole))
    if not ids:
        raise ValueError(f'{path}: names no image')
    return ids


def write_metrics(path: str, metrics: Mapping[str, float]) -> None:
    """Write metrics as JSON, null for what is undefined; whole or not."""
    # JSON knows no NaN.
    plain = {k: None if np.isnan(v) else v for k, v in metrics.items()}
    write_whole(path, json.dumps(plain, indent=1).encode())
