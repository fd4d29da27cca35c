"""Data sets of weakly supervised localisation in wsolevaluation's layout."""

import os
from typing import (
    Any,
    Callable,
    ContextManager,
    Dict,
    List,
    NamedTuple,
    Optional,
    Tuple,
)

import numpy as np

from mmwsl.datasets.base import (
    DataInfo,
    Size,
    WSLDataset,
    check_choice,
    object_truth,
)
from mmwsl.datasets.files import (
    FileIndex,
    path_inside,
    read_names,
    read_rows,
    without_suffix,
)
from mmwsl.datasets.label_lists import is_number
from mmwsl.registry import DATASETS
from mmwsl.utils.files import naming
from mmwsl.utils.masks import check_boxes

# Names a place in what is raised, as utils.files.naming; may take a note.
Noting = Callable[[str], ContextManager[None]]
Box = Tuple[float, float, float, float]
# More digits are no class and no size, and slow to read.
_MAX_DIGITS = 9
# Classes that a small set may lack images of.
_FEW = 10_000


class Localization(NamedTuple):
    """Ground truth by image id: boxes, or masks.

    They are the place and x0, y0, x1, y1 of each box; the place, the path of
    the mask and that of the ignore region ('' for none) of each object.
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
        ann_file: The folder of the text files.
        data_prefix: ``img_path``, the folder of the images, and ``mask_path``,
            that of the masks.
        num_classes: C; without it and without class names the highest label
            tells it. Classes without names are numbered.
        ids_file: Name of the list, as ``image_ids_proxy.txt``.
        outside_boxes: 'error', or 'keep' for sets that are known to have boxes
            over the border of the image.
        need_images: Whether the images must be there; scoring the maps of
            another program does without.
        **kwargs: Arguments of :class:`WSLDataset`.

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
        labels = read_labels(self._file('class_labels.txt'), self._noting)
        self._set_classes([label for _, label in labels.values()])
        paths = read_paths(self._file('image_paths.txt'), self._noting)
        sizes: Optional[Dict[str, Size]] = None
        truth = Localization({}, {})
        # Training does without.
        if self.test_mode:
            if os.path.exists(self._file('image_sizes.txt')):
                sizes = read_sizes(self._file('image_sizes.txt'), self._noting)
            if os.path.exists(self._file('localization.txt')):
                truth = read_localization(
                    self._file('localization.txt'), self._noting
                )
        files, entries = FileIndex(), []
        folder = self.data_prefix['img_path']
        for place, img_id in read_ids(self._file(self.ids_file)):
            with self._noting():
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
            number = self.num_classes or max(labels, default=-1) + 1
            if os.path.exists(path):
                # A blank line would shift the names of all that follow.
                names = read_names(path, 'list of class names', gaps=False)
            elif self.num_classes or number <= max(_FEW, 10 * len(labels)):
                names = [str(label) for label in range(number)]
            else:
                raise ValueError(
                    f'{self._file("class_labels.txt")}: {len(labels)} images '
                    f'have labels up to {number - 1}; set num_classes if that '
                    'is right'
                )
            self._metainfo['classes'] = names
        if self.num_classes not in (None, len(self.classes)):
            raise ValueError(
                f'{self.ann_file}: num_classes is {self.num_classes}, but '
                f'there are {len(self.classes)} class names'
            )

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
        if img_id not in truth.boxes:
            if truth.masks or truth.boxes:
                raise ValueError(
                    f'{self._file("localization.txt")}: no line of {img_id}'
                )
            return {}
        if sizes is not None and img_id not in sizes:
            raise ValueError(
                f'{self._file("image_sizes.txt")}: no line of {img_id}'
            )
        size = None if sizes is None else sizes[img_id]
        inside = self.outside_boxes == 'error' and size is not None
        for place, box in truth.boxes[img_id]:
            with naming(place):
                check_boxes(np.array(box), size or (0, 0), inside)
        boxes = [box for _, box in truth.boxes[img_id]]
        number = len(boxes)
        return object_truth([label] * number, [False] * number, boxes, size)


def mask_paths(
    lines: List[Tuple[str, str, str]],
    folder: str,
    exists: Callable[[str], bool] = os.path.isfile,
) -> Dict[str, List[str]]:
    """Return ``object_masks`` and ``ignore_masks`` of an image's lines.

    Each line is a place, a mask and an ignore region, '' for none.

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
    rows = read_rows(path, 'list of images')
    if not rows:
        raise ValueError(f'{path}: list of images is empty')
    return rows


def _read_values(
    rows: List[Tuple[str, str]],
    columns: str,
    parse: Callable[[List[str]], Any],
    noting: Noting,
    once: bool = False,
) -> Dict[str, List[Tuple[str, Any]]]:
    """Read lines ``id,value,...``: place and value of each line of an id."""
    number = columns.count(',') + 1
    found: Dict[str, List[Tuple[str, Any]]] = {}
    for place, line in rows:
        with noting(place):
            img_id, *cells = (x.strip() for x in line.rsplit(',', number))
            if len(cells) < number or not img_id:
                raise ValueError(f'expected id,{columns}, got {line!r}')
            if once and img_id in found:
                raise ValueError(f'a second {columns} of {img_id}')
            value = parse(cells)
            if value is None:
                raise ValueError(f'{",".join(cells)!r} is no {columns}')
            found.setdefault(img_id, []).append((place, value))
    return found


def _whole(cells: List[str]) -> Optional[List[int]]:
    if all(cell.isdecimal() and len(cell) <= _MAX_DIGITS for cell in cells):
        return [int(cell) for cell in cells]
    return None


def _size(cells: List[str]) -> Optional[Size]:
    sides = _whole(cells)
    return (sides[1], sides[0]) if sides and all(sides) else None


def _box(cells: List[str]) -> Optional[List[float]]:
    return [float(x) for x in cells] if all(map(is_number, cells)) else None


def read_labels(path: str, noting: Noting) -> Dict[str, Tuple[str, int]]:
    """Read ``class_labels.txt``: place and class index of each image."""
    rows = read_rows(path, 'list of labels')
    found = _read_values(rows, 'label', _whole, noting, once=True)
    return {name: (place, x[0]) for name, ((place, x),) in found.items()}


def read_sizes(path: str, noting: Noting) -> Dict[str, Size]:
    """Read ``image_sizes.txt``: height and width of each image."""
    rows = read_rows(path, 'list of image sizes')
    found = _read_values(rows, 'width,height', _size, noting, once=True)
    return {name: size for name, ((_, size),) in found.items()}


def read_localization(path: str, noting: Noting) -> Localization:
    """Read ``localization.txt``; its first line tells boxes from masks.

    Lines are ``id,x0,y0,x1,y1``, or ``id,mask,ignore`` with paths, of which
    the second may be empty.
    """
    rows = read_rows(path, 'ground truth')
    with noting(path):
        if not rows:
            raise ValueError('ground truth is empty')
    first = ''.join(line for _, line in rows[:1]).split(',')
    if len(first) == 3 and not is_number(first[1]):
        masks = _read_values(rows, 'mask,ignore', list, noting)
        return Localization(
            {},
            {
                img_id: [(place, *cells) for place, cells in lines]
                for img_id, lines in masks.items()
            },
        )
    return Localization(_read_values(rows, 'x0,y0,x1,y1', _box, noting), {})


def read_paths(path: str, noting: Noting) -> Dict[str, str]:
    """Read ``image_paths.txt``, an own addition that may be absent.

    It names the image file of ids that are not paths themselves, as where
    several entries, one for each class, share an image.
    """
    found: Dict[str, str] = {}
    rows = read_rows(path, 'list of paths') if os.path.exists(path) else []
    for place, line in rows:
        with noting(place):
            # Here the path, not the id, is what may hold commas.
            img_id, _, file = (x.strip() for x in line.partition(','))
            if not img_id or not file:
                raise ValueError(f'expected id,path, got {line!r}')
            found[img_id] = file
    return found


def whole_boxes(boxes: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Round boxes (G, 4) outwards and cut them at the border, int64 (G, 4).

    Other programs read whole numbers.

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
