"""Data sets of weakly supervised localisation in wsolevaluation's layout."""

import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from mmwsl.datasets.base import DataInfo, WSLDataset
from mmwsl.datasets.files import (
    FileIndex,
    path_inside,
    read_lines,
    read_names,
)
from mmwsl.registry import DATASETS
from mmwsl.utils.images import IMG_SUFFIXES
from mmwsl.utils.masks import check_boxes

# Called with a place and what is wrong there; raises or takes a note.
Report = Callable[[str, str], None]
Box = Tuple[float, float, float, float]
# More digits are no class and no size, and slow to read.
_MAX_DIGITS = 9
# Classes that a small set may lack images of.
_FEW = 10_000


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


@DATASETS.register_module()
class WSOLDataset(WSLDataset):
    """Images of one label each, for localisation by boxes or masks.

    The layout is that of `wsolevaluation
    <https://github.com/clovaai/wsolevaluation>`_, whose metadata of
    CUB-200-2011, ILSVRC and OpenImages30k are read as they are:

    .. code-block:: text

        metadata/CUB/test          ann_file
        |-- image_ids.txt          path/of/image.jpg
        |-- class_labels.txt       path/of/image.jpg,0
        |-- image_sizes.txt        path/of/image.jpg,width,height
        |-- localization.txt       path/of/image.jpg,x0,y0,x1,y1    or
        |                          path/of/image.jpg,mask.png,ignore.png
        |-- class_names.txt        a name a line       (own, may be absent)
        `-- image_paths.txt        id,path/of/image    (own, may be absent)

    An image may have several lines in ``localization.txt``: it shows several
    objects. Only the first needs to name an ignore region. Sizes and
    localization are read in test mode only and may be absent there too.

    Args:
        ann_file (str): The folder of the text files.
        data_prefix (dict): ``img_path``, the folder of the images, and
            ``mask_path``, that of the masks.
        num_classes (int | None): C; without it and without class names the
            highest label tells it. Classes without names are numbered.
        ids_file (str): Name of the list, as ``image_ids_proxy.txt``.
        outside_boxes (str): 'error', or 'keep' for sets that are known to
            have boxes over the border of the image.
        **kwargs: Arguments of :class:`WSLDataset`.

    Raises:
        FileNotFoundError: If a list, or a file that it names, is missing;
            names list, line and file.
        ValueError: If a line is broken, a label is no class or a box is not
            in the image; names list and line.

    Example:
        >>> WSOLDataset(
        ...     data_root='data/wsol', ann_file='metadata/CUB/test',
        ...     data_prefix=dict(img_path='CUB'), num_classes=200,
        ...     test_mode=True)
    """

    def __init__(
        self,
        ann_file: str,
        data_prefix: Optional[Dict[str, str]] = None,
        num_classes: Optional[int] = None,
        ids_file: str = 'image_ids.txt',
        outside_boxes: str = 'error',
        **kwargs: Any,
    ) -> None:
        if outside_boxes not in ('error', 'keep'):
            raise ValueError(
                f"outside_boxes must be 'error' or 'keep', got "
                f'{outside_boxes!r}'
            )
        self.num_classes = num_classes
        self.ids_file = ids_file
        self.outside_boxes = outside_boxes
        prefixes = {'img_path': '', 'mask_path': '', **(data_prefix or {})}
        super().__init__(ann_file=ann_file, data_prefix=prefixes, **kwargs)

    def load_data_list(self) -> List[DataInfo]:
        """Read the text files."""
        labels = read_labels(self._file('class_labels.txt'), self._problem)
        self._set_classes([label for _, label in labels.values()])
        paths = read_paths(self.ann_file, self._problem)
        truth = self._read_truth()
        files, entries = FileIndex(), []
        for row in read_ids(self._file(self.ids_file)):
            try:
                path = self._find_image(files, row, paths)
                label = self._label(row, labels)
                eval_ann = self._eval_ann(files, row.img_id, label, *truth)
            except (FileNotFoundError, ValueError) as error:
                if not self.collect_problems:
                    raise
                place, _, message = str(error).partition(': ')
                self._problem(place, message)
                continue
            name = without_suffix(row.img_id)
            entries.append(self._entry(name, path, [label], eval_ann=eval_ann))
        return entries

    def _file(self, name: str) -> str:
        return os.path.join(self.ann_file, name)

    def _joined(self, prefix: str, path: str) -> str:
        return os.path.join(self.data_prefix[prefix], path)

    def _set_classes(self, labels: List[int]) -> None:
        """Name the classes, with numbers if there are no names."""
        if not self.classes:
            path = self._file('class_names.txt')
            if os.path.exists(path):
                # A blank line would shift the names of all that follow.
                names = read_names(path, 'list of class names', gaps=False)
            else:
                names = [str(label) for label in range(self._number(labels))]
            self._metainfo['classes'] = names
        if self.num_classes not in (None, len(self.classes)):
            raise ValueError(
                f'{self.ann_file}: num_classes is {self.num_classes}, but '
                f'there are {len(self.classes)} class names'
            )

    def _number(self, labels: List[int]) -> int:
        """Return the number of classes that have no names."""
        number = self.num_classes or max(labels, default=-1) + 1
        if not self.num_classes and number > max(_FEW, 10 * len(labels)):
            raise ValueError(
                f'{self._file("class_labels.txt")}: {len(labels)} images have '
                f'labels up to {number - 1}; set num_classes if that is right'
            )
        return number

    def _read_truth(
        self,
    ) -> Tuple[Optional[Dict[str, Tuple[int, int]]], Localization]:
        """Read sizes and localization, which training does without."""
        sizes: Optional[Dict[str, Tuple[int, int]]] = None
        found = Localization({}, {})
        if not self.test_mode:
            return sizes, found
        path = self._file('image_sizes.txt')
        if os.path.exists(path):
            sizes = read_sizes(path, self._problem)
        path = self._file('localization.txt')
        if os.path.exists(path):
            found = read_localization(path, self._problem)
        return sizes, found

    def _find_image(
        self, files: FileIndex, row: Row, paths: Dict[str, str]
    ) -> str:
        path = path_inside(row.place, self.data_prefix['img_path'], row.img_id)
        if row.img_id in paths:
            # Our own list, which may name any place.
            path = self._joined('img_path', paths[row.img_id])
        found = files.find_image(path)
        if found is None:
            raise FileNotFoundError(f'{row.place}: {files.why_missing(path)}')
        return found

    def _label(self, row: Row, labels: Dict[str, Tuple[str, int]]) -> int:
        if row.img_id not in labels:
            raise ValueError(
                f'{row.place}: class_labels.txt has no label of {row.img_id}'
            )
        place, label = labels[row.img_id]
        if label >= len(self.classes):
            raise ValueError(
                f'{place}: label {label} of {row.img_id} is not in 0..'
                f'{len(self.classes) - 1}'
            )
        return label

    def _eval_ann(
        self,
        files: FileIndex,
        img_id: str,
        label: int,
        sizes: Optional[Dict[str, Tuple[int, int]]],
        truth: Localization,
    ) -> Dict[str, Any]:
        if img_id in truth.masks:
            return self._mask_paths(files, truth.masks[img_id])
        if img_id in truth.boxes:
            if sizes is not None and img_id not in sizes:
                raise ValueError(
                    f'{self._file("image_sizes.txt")}: no line of {img_id}'
                )
            size = None if sizes is None else sizes[img_id]
            return self._boxes(truth.boxes[img_id], label, size)
        if truth.masks or truth.boxes:
            raise ValueError(
                f'{self._file("localization.txt")}: no line of {img_id}'
            )
        return {}

    def _boxes(
        self,
        items: List[Tuple[str, Box]],
        label: int,
        size: Optional[Tuple[int, int]],
    ) -> Dict[str, Any]:
        inside = self.outside_boxes == 'error' and size is not None
        for place, box in items:
            try:
                check_boxes(np.array(box), size or (0, 0), outside=inside)
            except ValueError as error:
                raise ValueError(f'{place}: {error}') from None
        boxes = [box for _, box in items]
        annotation: Dict[str, Any] = dict(
            boxes=np.array(boxes, dtype=np.float32),
            labels=np.full(len(boxes), label, dtype=np.int64),
            difficult=np.zeros(len(boxes), dtype=bool),
        )
        if size is not None:
            annotation['size'] = size
        return annotation

    def _mask_paths(
        self, files: FileIndex, items: List[Tuple[str, str, str]]
    ) -> Dict[str, Any]:
        annotation: Dict[str, Any] = dict(object_masks=[], ignore_masks=[])
        for place, mask, ignore in items:
            for key, name in (
                ('object_masks', mask),
                ('ignore_masks', ignore),
            ):
                if not name and key == 'ignore_masks':
                    continue
                path = path_inside(place, self.data_prefix['mask_path'], name)
                if not files.exists(path):
                    raise FileNotFoundError(
                        f'{place}: names the mask {path}, which does not exist'
                    )
                annotation[key].append(path)
        return annotation


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
