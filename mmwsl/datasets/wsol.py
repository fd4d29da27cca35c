"""Data sets of weakly supervised localisation in wsolevaluation's layout."""

import os
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from mmwsl.datasets.base import DataInfo, WSLDataset
from mmwsl.datasets.boxes import check_boxes
from mmwsl.datasets.files import FileIndex, read_names
from mmwsl.datasets.wsol_metadata import (
    Box,
    Localization,
    Row,
    path_inside,
    read_ids,
    read_labels,
    read_localization,
    read_paths,
    read_sizes,
    without_suffix,
)
from mmwsl.registry import DATASETS

# Classes that a small set may lack images of.
_FEW = 10_000


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
