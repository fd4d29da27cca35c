"""Reading the text files of wsolevaluation's metadata layout.

Every line is an image id and one to four values after commas; ids are paths
and may hold commas themselves.
"""

import os
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from mmwsl.datasets.files import read_lines
from mmwsl.utils.files import join_inside
from mmwsl.utils.images import IMG_SUFFIXES

# Called with a place and what is wrong there; raises or takes a note.
Report = Callable[[str, str], None]
Box = Tuple[float, float, float, float]
# More digits are no class and no size, and slow to read.
_MAX_DIGITS = 9


class Row(NamedTuple):
    """One line: where it is, its image and its values."""

    place: str
    img_id: str
    cells: List[str]


class Localization(NamedTuple):
    """Ground truth by image id, boxes or masks.

    Attributes:
        boxes (dict): Place and x0, y0, x1, y1 of each box.
        masks (dict): Place, path of the mask and path of the ignore region
            ('' for none) of each object.
    """

    boxes: Dict[str, List[Tuple[str, Box]]]
    masks: Dict[str, List[Tuple[str, str, str]]]


def read_ids(path: str) -> List[Row]:
    """Read ``image_ids.txt``: an id a line."""
    lines = enumerate(read_lines(path, 'list of images'), 1)
    rows = [
        Row(f'{path}: line {number}', line.strip(), [])
        for number, line in lines
        if line.strip()
    ]
    if not rows:
        raise ValueError(f'{path}: list of images is empty')
    return rows


def path_inside(place: str, folder: str, name: str) -> str:
    """Join a name of a list to its folder.

    Raises:
        ValueError: If it leaves the folder; begins with ``place``.
    """
    try:
        return join_inside(folder, name, links=True)
    except ValueError as error:
        raise ValueError(f'{place}: {error}') from None


def read_rows(
    path: str, what: str, columns: Tuple[str, ...], report: Report
) -> List[Row]:
    """Read lines ``id,value,...``.

    Args:
        path (str): The file.
        what (str): What it is, for the error that it is missing.
        columns (tuple[str]): Names of the values.
        report (Callable): Told of lines with fewer values.
    """
    rows = []
    for number, line in enumerate(read_lines(path, what), 1):
        if not line.strip():
            continue
        place = f'{path}: line {number}'
        img_id, *cells = (x.strip() for x in line.rsplit(',', len(columns)))
        if len(cells) < len(columns) or not img_id:
            expected = ','.join(('id', *columns))
            report(place, f'expected {expected}, got {line.strip()!r}')
            continue
        rows.append(Row(place, img_id, cells))
    return rows


def read_labels(path: str, report: Report) -> Dict[str, Tuple[str, int]]:
    """Read ``class_labels.txt``: place and class index of each image."""
    labels: Dict[str, Tuple[str, int]] = {}
    for row in read_rows(path, 'list of labels', ('label',), report):
        text = row.cells[0]
        if not text.isdecimal() or len(text) > _MAX_DIGITS:
            report(row.place, f'label {row.cells[0]!r} is no class index')
        elif row.img_id in labels:
            report(row.place, f'a second label of {row.img_id}')
        else:
            labels[row.img_id] = (row.place, int(text))
    return labels


def read_sizes(path: str, report: Report) -> Dict[str, Tuple[int, int]]:
    """Read ``image_sizes.txt``: height and width of each image."""
    sizes = {}
    columns = ('width', 'height')
    for row in read_rows(path, 'list of image sizes', columns, report):
        if not all(
            cell.isdecimal() and len(cell) <= _MAX_DIGITS and int(cell)
            for cell in row.cells
        ):
            report(row.place, f'size {",".join(row.cells)!r} is no size')
            continue
        if row.img_id in sizes:
            report(row.place, f'a second size of {row.img_id}')
        width, height = (int(cell) for cell in row.cells)
        sizes[row.img_id] = (height, width)
    return sizes


def read_localization(path: str, report: Report) -> Localization:
    """Read ``localization.txt``; its first line tells boxes from masks.

    Lines are ``id,x0,y0,x1,y1``, or ``id,mask,ignore`` with paths, of which
    the second may be empty.
    """
    lines = [x for x in read_lines(path, 'ground truth') if x.strip()]
    if not lines:
        report(path, 'ground truth is empty')
    found = Localization({}, {})
    columns: Tuple[str, ...] = ('x0', 'y0', 'x1', 'y1')
    first = ''.join(lines[:1]).split(',')
    if len(first) == 3 and _number(first[1]) is None:
        columns = ('mask', 'ignore')
    for row in read_rows(path, 'ground truth', columns, report):
        if len(columns) == 2:
            item = (row.place, row.cells[0], row.cells[1])
            found.masks.setdefault(row.img_id, []).append(item)
            continue
        values = [_number(cell) for cell in row.cells]
        edges = [value for value in values if value is not None]
        if len(edges) < 4:
            report(row.place, f'{",".join(row.cells)!r} are no four numbers')
            continue
        box = (edges[0], edges[1], edges[2], edges[3])
        found.boxes.setdefault(row.img_id, []).append((row.place, box))
    return found


def read_paths(folder: str, report: Report) -> Dict[str, str]:
    """Read ``image_paths.txt``, an own addition that may be absent.

    It names the image file of ids that are not paths themselves, as where
    several entries, one for each class, share an image.
    """
    path = os.path.join(folder, 'image_paths.txt')
    if not os.path.exists(path):
        return {}
    # Here the path, not the id, is what may hold commas.
    found = {}
    for number, line in enumerate(read_lines(path, 'list of paths'), 1):
        img_id, comma, file = line.partition(',')
        if comma and img_id.strip() and file.strip():
            found[img_id.strip()] = file.strip()
        elif line.strip():
            report(f'{path}: line {number}', f'expected id,path, got {line!r}')
    return found


def whole_boxes(boxes: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Boxes as the layout holds them, for writing.

    Other programs read whole numbers: boxes are rounded outwards and cut at
    the border.

    Args:
        boxes (np.ndarray): (G, 4), in the image but for rounding.
        size (tuple[int]): Height and width of the image.

    Returns:
        np.ndarray: int64 (G, 4).

    Raises:
        ValueError: If nothing is left of a box.
    """
    whole = np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], 1)
    limits = (size[1], size[0]) * 2
    clipped: np.ndarray = np.clip(whole, 0, limits).astype(np.int64)
    empty = (clipped[:, :2] >= clipped[:, 2:]).any(axis=1)
    if empty.any():
        text = ', '.join(f'{edge:g}' for edge in boxes[empty.argmax()])
        raise ValueError(f'box ({text}) is empty')
    return clipped


def without_suffix(img_id: str) -> str:
    """Drop the suffix of an image file, but no other dot in a name."""
    stem, suffix = os.path.splitext(img_id)
    return stem if suffix.lower() in IMG_SUFFIXES else img_id


def _number(text: str) -> Optional[float]:
    try:
        return float(text)
    except ValueError:
        return None
