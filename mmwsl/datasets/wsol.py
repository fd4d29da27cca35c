"""Data sets of weakly supervised localisation in wsolevaluation's layout."""

import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from mmwsl.datasets.base import (
    DataInfo,
    Size,
    WSLDataset,
    check_choice,
    object_truth,
)
from mmwsl.datasets.files import FileIndex, path_inside, read_lines, read_names
from mmwsl.datasets.label_lists import is_number
from mmwsl.registry import DATASETS
from mmwsl.utils.files import naming
from mmwsl.utils.images import IMG_SUFFIXES
from mmwsl.utils.masks import check_boxes

# Called with a place and what is wrong there; raises or takes a note.
Report = Callable[[str, str], None]
Box = Tuple[float, float, float, float]
# More digits are no class and no size, and slow to read.
_MAX_DIGITS = 9
# Classes that a small set may lack images of.
_FEW = 10_000


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
        need_images (bool): Whether the images must be there; scoring the
            maps of another program does without.
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

    PREFIXES = dict(img_path='', mask_path='')

    def __init__(
        self,
        ann_file: str,
        num_classes: Optional[int] = None,
        ids_file: str = 'image_ids.txt',
        outside_boxes: str = 'error',
        need_images: bool = True,
        **kwargs: Any,
    ) -> None:
        check_choice('outside_boxes', outside_boxes, ('error', 'keep'))
        self.num_classes = num_classes
        self.ids_file = ids_file
        self.outside_boxes = outside_boxes
        self.need_images = need_images
        super().__init__(ann_file=ann_file, **kwargs)

    def load_data_list(self) -> List[DataInfo]:
        """Read the text files."""
        labels = read_labels(self._file('class_labels.txt'), self._problem)
        self._set_classes([label for _, label in labels.values()])
        paths = read_paths(self.ann_file, self._problem)
        sizes: Optional[Dict[str, Size]] = None
        truth = Localization({}, {})
        # Training does without.
        if self.test_mode:
            if os.path.exists(self._file('image_sizes.txt')):
                sizes = read_sizes(
                    self._file('image_sizes.txt'), self._problem
                )
            if os.path.exists(self._file('localization.txt')):
                truth = read_localization(
                    self._file('localization.txt'), self._problem
                )
        files, entries = FileIndex(), []
        for place, img_id in read_ids(self._file(self.ids_file)):
            with self._noting():
                folder = self.data_prefix['img_path']
                path = path_inside(place, folder, img_id)
                if img_id in paths:
                    # Our own list, which may name any place.
                    path = os.path.join(folder, paths[img_id])
                if self.need_images:
                    path = files.need_image(path, f'{place}:')
                label = self._class_of(place, img_id, labels)
                eval_ann = self._eval_ann(files, img_id, label, sizes, truth)
                name = without_suffix(img_id)
                entries.append(
                    self._entry(name, path, [label], eval_ann=eval_ann)
                )
        return entries

    def _file(self, name: str) -> str:
        return os.path.join(self.ann_file, name)

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

    def _class_of(
        self, place: str, img_id: str, labels: Dict[str, Tuple[str, int]]
    ) -> int:
        if img_id not in labels:
            raise ValueError(
                f'{place}: class_labels.txt has no label of {img_id}'
            )
        place, label = labels[img_id]
        if label >= len(self.classes):
            raise ValueError(
                f'{place}: label {label} of {img_id} is not in 0..'
                f'{len(self.classes) - 1}'
            )
        return label

    def _eval_ann(
        self,
        files: FileIndex,
        img_id: str,
        label: int,
        sizes: Optional[Dict[str, Size]],
        truth: Localization,
    ) -> Dict[str, Any]:
        if img_id in truth.masks:
            folder = self.data_prefix['mask_path']
            return mask_paths(truth.masks[img_id], folder, files.exists)
        if img_id in truth.boxes:
            if sizes is not None and img_id not in sizes:
                raise ValueError(
                    f'{self._file("image_sizes.txt")}: no line of {img_id}'
                )
            size = None if sizes is None else sizes[img_id]
            inside = self.outside_boxes == 'error' and size is not None
            boxes = [box for _, box in truth.boxes[img_id]]
            for place, box in truth.boxes[img_id]:
                with naming(place):
                    check_boxes(np.array(box), size or (0, 0), inside)
            number = len(boxes)
            return object_truth(
                [label] * number, [False] * number, boxes, size
            )
        if truth.masks or truth.boxes:
            raise ValueError(
                f'{self._file("localization.txt")}: no line of {img_id}'
            )
        return {}


def mask_paths(
    lines: List[Tuple[str, str, str]],
    folder: str,
    exists: Callable[[str], bool] = os.path.isfile,
) -> Dict[str, List[str]]:
    """Return ``object_masks`` and ``ignore_masks`` of an image's lines.

    Args:
        lines (list): Place, mask and ignore region, '' for none, of each.
        folder (str): Folder of the masks.
        exists (Callable): Whether there is such a file.

    Raises:
        FileNotFoundError: If a mask is missing; begins with its place.
        ValueError: If a path leaves the folder.
    """
    found: Dict[str, List[str]] = dict(object_masks=[], ignore_masks=[])
    for place, mask, ignore in lines:
        names = [('object_masks', mask)]
        if ignore:
            names.append(('ignore_masks', ignore))
        for key, name in names:
            path = path_inside(place, folder, name)
            if not exists(path):
                raise FileNotFoundError(
                    f'{place}: names the mask {path}, which does not exist'
                )
            found[key].append(path)
    return found


def read_ids(path: str) -> List[Tuple[str, str]]:
    """Read ``image_ids.txt``: place and id of each line."""
    lines = enumerate(read_lines(path, 'list of images'), 1)
    rows = [
        (f'{path}: line {number}', line.strip())
        for number, line in lines
        if line.strip()
    ]
    if not rows:
        raise ValueError(f'{path}: list of images is empty')
    return rows


def _read_values(
    path: str,
    what: str,
    columns: Tuple[str, ...],
    parse: Callable[[List[str]], Any],
    report: Report,
) -> Dict[str, List[Tuple[str, Any]]]:
    """Read lines ``id,value,...``: place and value of each line of an id."""
    found: Dict[str, List[Tuple[str, Any]]] = {}
    for number, line in enumerate(read_lines(path, what), 1):
        if not line.strip():
            continue
        place = f'{path}: line {number}'
        img_id, *cells = (x.strip() for x in line.rsplit(',', len(columns)))
        if len(cells) < len(columns) or not img_id:
            expected = ','.join(('id', *columns))
            report(place, f'expected {expected}, got {line.strip()!r}')
            continue
        try:
            value = parse(cells)
        except ValueError as error:
            report(place, str(error))
        else:
            found.setdefault(img_id, []).append((place, value))
    return found


def _single(
    found: Dict[str, List[Tuple[str, Any]]], what: str, report: Report
) -> Dict[str, Tuple[str, Any]]:
    """Take the one line of each id."""
    for img_id, lines in found.items():
        for place, _ in lines[1:]:
            report(place, f'a second {what} of {img_id}')
    return {img_id: lines[0] for img_id, lines in found.items()}


def read_labels(path: str, report: Report) -> Dict[str, Tuple[str, int]]:
    """Read ``class_labels.txt``: place and class index of each image."""
    found = _read_values(
        path, 'list of labels', ('label',), _parse_label, report
    )
    return _single(found, 'label', report)


def read_sizes(path: str, report: Report) -> Dict[str, Size]:
    """Read ``image_sizes.txt``: height and width of each image."""
    columns = ('width', 'height')
    found = _read_values(
        path, 'list of image sizes', columns, _parse_size, report
    )
    single = _single(found, 'size', report)
    return {img_id: size for img_id, (_, size) in single.items()}


def _parse_label(cells: List[str]) -> int:
    if not cells[0].isdecimal() or len(cells[0]) > _MAX_DIGITS:
        raise ValueError(f'label {cells[0]!r} is no class index')
    return int(cells[0])


def _parse_size(cells: List[str]) -> Size:
    if not all(
        cell.isdecimal() and len(cell) <= _MAX_DIGITS and int(cell)
        for cell in cells
    ):
        raise ValueError(f'size {",".join(cells)!r} is no size')
    return int(cells[1]), int(cells[0])


def _parse_box(cells: List[str]) -> List[float]:
    try:
        return [float(cell) for cell in cells]
    except ValueError:
        text = f'{",".join(cells)!r} are no four numbers'
        raise ValueError(text) from None


def read_localization(path: str, report: Report) -> Localization:
    """Read ``localization.txt``; its first line tells boxes from masks.

    Lines are ``id,x0,y0,x1,y1``, or ``id,mask,ignore`` with paths, of which
    the second may be empty.
    """
    what = 'ground truth'
    lines = [x for x in read_lines(path, what) if x.strip()]
    if not lines:
        report(path, f'{what} is empty')
    first = ''.join(lines[:1]).split(',')
    if len(first) == 3 and not is_number(first[1]):
        columns: Tuple[str, ...] = ('mask', 'ignore')
        masks = _read_values(path, what, columns, list, report)
        return Localization(
            {},
            {
                img_id: [(place, *cells) for place, cells in rows]
                for img_id, rows in masks.items()
            },
        )
    columns = ('x0', 'y0', 'x1', 'y1')
    return Localization(
        _read_values(path, what, columns, _parse_box, report), {}
    )


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
