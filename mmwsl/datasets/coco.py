"""Image-level labels and counts from annotations in COCO's format."""

import os
import reprlib
from collections import Counter, defaultdict
from typing import Any, Container, Dict, List, Optional

import numpy as np

from mmwsl.datasets.base import (
    DataInfo,
    Size,
    WSLDataset,
    check_choice,
    object_truth,
)
from mmwsl.datasets.files import FileIndex, image_id, path_inside
from mmwsl.registry import DATASETS
from mmwsl.utils.files import read_json
from mmwsl.utils.masks import check_boxes, decode_segmentation

Annotation = Dict[str, Any]
# What the entries of each list must have.
_ID = (int, float, str)
_LISTS: Dict[str, Dict[str, Any]] = {
    'images': {'id': _ID, 'file_name': str},
    'annotations': {},
    'categories': {'id': _ID, 'name': str},
}
# As programs write ``iscrowd``, in lower case.
_FLAGS = {
    **dict.fromkeys(('0', '0.0', 'false', 'none', ''), False),
    **dict.fromkeys(('1', '1.0', 'true'), True),
}


@DATASETS.register_module()
class COCOImageLevelDataset(WSLDataset):
    """Image-level labels of data in COCO's format.

    The format is that of `COCO <https://cocodataset.org>`_:

    .. code-block:: text

        data_root
        |-- annotations/instances_train2017.json
        `-- train2017/000000000009.jpg

    A crowd region (``iscrowd`` 1) stands for an unknown number of objects of
    a class: by default it gives the label, but does not count, and evaluation
    knows it as difficult. Image ids are the paths in the image folder without
    suffix. Images that no annotation names are images of nothing. Boxes are
    read in test mode only; a file without any gives labels alone.

    Args:
        ann_file (str): The json file.
        crowd_label (bool): Whether a crowd region alone gives the label.
        crowd_count (bool): Whether a crowd region counts as one object.
        unknown_class (str): 'ignore' or 'error', for categories of the file
            that are not in ``classes``.
        missing_class (str): 'error' or 'ignore', for ``classes`` that are no
            category of the file.
        **kwargs: Arguments of :class:`WSLDataset`; ``data_prefix`` holds
            ``img_path``, the folder of the images, and without ``metainfo``
            the classes are all categories in the order of their ids.

    Raises:
        FileNotFoundError: If the json file, or an image that it names, is
            missing.
        ValueError: If the file does not parse, lacks a part, defines an image
            or category twice, names one that it does not define, or has a
            broken box.

    Example:
        >>> COCOImageLevelDataset(
        ...     data_root='data/coco',
        ...     ann_file='annotations/instances_train2017.json',
        ...     data_prefix=dict(img_path='train2017'))
    """

    def __init__(
        self,
        ann_file: str,
        crowd_label: bool = True,
        crowd_count: bool = False,
        unknown_class: str = 'ignore',
        missing_class: str = 'error',
        **kwargs: Any,
    ) -> None:
        check_choice('unknown_class', unknown_class, ('error', 'ignore'))
        check_choice('missing_class', missing_class, ('error', 'ignore'))
        self.crowd_label = crowd_label
        self.crowd_count = crowd_count
        self.unknown_class = unknown_class
        self.missing_class = missing_class
        super().__init__(ann_file=ann_file, **kwargs)

    def load_data_list(self) -> List[DataInfo]:
        """Read the json file."""
        content = self._read()
        label_of = self._label_of_category(content['categories'])
        sizes = {item['id']: _size(item) for item in content['images']}
        holds = {
            key: any(item.get(key) for item in content['annotations'])
            for key in ('bbox', 'segmentation')
        }
        of_image: Dict[Any, List[Annotation]] = defaultdict(list)
        for annotation in content['annotations']:
            fault = _unknown(annotation, sizes, label_of)
            # Classes that are passed over do not matter, nor do their boxes.
            ignored = not fault and label_of[annotation['category_id']] is None
            if not fault and not ignored and self.test_mode and holds['bbox']:
                fault = _box_fault(annotation, sizes[annotation['image_id']])
            if fault:
                name = f'annotation {annotation.get("id")}'
                self._problem(self.ann_file, f'{name} {fault}')
            elif not ignored:
                of_image[annotation['image_id']].append(annotation)
        files, entries = FileIndex(), []
        for image in content['images']:
            with self._noting():
                place = f'{self.ann_file}: image {image["id"]}'
                folder = self.data_prefix['img_path']
                path = path_inside(place, folder, image['file_name'])
                path = files.need_image(path, place)
                objects = of_image.get(image['id'], [])
                entries.append(
                    self._to_entry(path, image, objects, label_of, holds)
                )
        return entries

    def _read(self) -> Dict[str, List[Dict[str, Any]]]:
        path = self.ann_file
        content = read_json(path, 'annotation file')
        for key, needed in _LISTS.items():
            if not isinstance(content, dict) or key not in content:
                raise ValueError(f'{path}: no {key!r} in the file')
            self._check_list(key, content[key], needed)
        for item in content['categories']:
            item['name'] = item['name'].strip()
        self._check_doubles('images', 'id', content['images'])
        self._check_doubles('categories', 'id', content['categories'])
        self._check_doubles('categories', 'name', content['categories'])
        return content

    def _check_list(
        self, key: str, items: Any, needed: Dict[str, Any]
    ) -> None:
        """Refuse a list of the file whose entries lack something."""
        shown = f'{self.ann_file}: {key!r} is {reprlib.repr(items)}'
        if not isinstance(items, list):
            raise ValueError(f'{shown}, expected a list')
        for number, item in enumerate(items):
            if not isinstance(item, dict):
                raise ValueError(
                    f'{shown}: entry {number} is {reprlib.repr(item)}, '
                    'expected a dict'
                )
            place = f'{self.ann_file}: entry {number} of {key!r} has'
            for name, kind in needed.items():
                if name not in item:
                    raise ValueError(f'{place} no {name!r}')
                value = item[name]
                if not isinstance(value, kind) or isinstance(value, bool):
                    shown = reprlib.repr(value)
                    raise ValueError(f'{place} the {name} {shown}')

    def _check_doubles(
        self, key: str, name: str, items: List[Dict[str, Any]]
    ) -> None:
        """Refuse a file that gives an id, or a name, to two things."""
        for value, times in Counter(item[name] for item in items).items():
            if times > 1:
                raise ValueError(
                    f'{self.ann_file}: {times} entries of {key!r} have the '
                    f'{name} {value!r}'
                )

    def _label_of_category(
        self, categories: List[Dict[str, Any]]
    ) -> Dict[Any, Optional[int]]:
        """Map category ids to class indices, None for unknown classes."""
        if len({isinstance(item['id'], str) for item in categories}) > 1:
            ids = [item['id'] for item in categories]
            raise ValueError(
                f"{self.ann_file}: 'categories' have ids that are numbers and "
                f'ids that are text: {reprlib.repr(ids)}'
            )
        ordered = sorted(categories, key=lambda item: item['id'])
        names = [item['name'] for item in ordered]
        if not self.classes:
            self._metainfo['classes'] = names
        missing = [name for name in self.classes if name not in names]
        if missing and self.missing_class == 'error':
            raise ValueError(
                f'{self.ann_file}: the class {missing[0]!r} is none of its '
                f'categories {reprlib.repr(names)} (missing_class='
                "'ignore' accepts that)"
            )
        found: Dict[Any, Optional[int]] = {}
        label_of = self._label_of()
        for item in ordered:
            found[item['id']] = label_of.get(item['name'])
            with self._noting():
                self._label(item['name'], label_of, self.ann_file)
        return found

    def _to_entry(
        self,
        img_path: str,
        image: Dict[str, Any],
        objects: List[Annotation],
        label_of: Dict[Any, Any],
        holds: Dict[str, bool],
    ) -> DataInfo:
        labels = [label_of[item['category_id']] for item in objects]
        crowd = [_is_crowd(item) for item in objects]
        easy = {label for label, many in zip(labels, crowd) if not many}
        counts = dict.fromkeys(labels, 0)
        for label, many in zip(labels, crowd):
            counts[label] += self.crowd_count or not many
        truth: Dict[str, Any] = {}
        if self.test_mode:
            stem = os.path.splitext(image['file_name'])[0]
            truth = object_truth(
                labels,
                crowd,
                size=_size(image),
                place=f'{self.ann_file}: image {stem}',
            )
        if self.test_mode and holds['bbox']:
            edges = np.array([item['bbox'] for item in objects], np.float32)
            edges = edges.reshape(-1, 4)
            edges[:, 2:] += edges[:, :2]
            truth.update(boxes=edges, box_margin=1)
        if self.test_mode and holds['segmentation']:
            truth['segmentations'] = [i.get('segmentation') for i in objects]
            truth['names'] = [
                f'{self.ann_file}: annotation {item.get("id")} of the image '
                f'{image["file_name"]}'
                for item in objects
            ]
        elif 'boxes' in truth:
            truth['reason'] = f'{self.ann_file} has boxes but no masks'
        return self._entry(
            image_id(img_path, self.data_prefix['img_path']),
            img_path,
            labels=labels if self.crowd_label else list(easy),
            difficult_only=list(set(labels) - easy),
            counts=counts,
            eval_ann=truth,
        )


def _size(image: Dict[str, Any]) -> Optional[Size]:
    """Return height and width that a file gives of an image, if any."""
    try:
        height, width = (float(image[key]) for key in ('height', 'width'))
    except (KeyError, OverflowError, TypeError, ValueError):
        return None
    if not (0 < height < 2**31 and 0 < width < 2**31):
        return None
    return int(height), int(width)


def _is_crowd(annotation: Annotation) -> bool:
    return _FLAGS[str(annotation.get('iscrowd', 0)).lower()]


def _unknown(
    annotation: Annotation, images: Container, categories: Container
) -> str:
    """Say what of an annotation the file does not define, or ''."""
    for key, known in (('image_id', images), ('category_id', categories)):
        value = annotation.get(key)
        # Lists and dicts cannot be looked up.
        if not isinstance(value, _ID) or value not in known:
            return f'has the unknown {key} {reprlib.repr(value)}'
    if str(annotation.get('iscrowd', 0)).lower() not in _FLAGS:
        value = reprlib.repr(annotation['iscrowd'])
        return f'has the iscrowd {value}, expected 0 or 1'
    return ''


def _box_fault(annotation: Annotation, size: Optional[Size]) -> str:
    """Say what is wrong with the box of an annotation, '' if nothing is."""
    if 'bbox' not in annotation:
        return 'has no bbox'
    box = annotation['bbox']
    shown = f'has the bbox {reprlib.repr(box)}'
    numbers = isinstance(box, list) and all(
        isinstance(value, (int, float)) and abs(value) < 2**31 for value in box
    )
    if not numbers or len(box) != 4:
        return f'{shown}, expected four finite numbers'
    left, top, width, height = box
    if width < 0 or height < 0:
        return f'{shown}, whose width or height is negative'
    if size is None:
        return ''
    try:
        edges = np.array([left, top, left + width, top + height])
        check_boxes(edges, size, margin=1)
    except ValueError as error:
        return f'{shown}: {error}'
    return ''


def without_crowds(
    values: np.ndarray, info: DataInfo, label: int
) -> np.ndarray:
    """Ignore what only crowd regions cover of a class.

    As with boxes, they stay where there are no other objects.

    Args:
        values (np.ndarray): Mask (H, W), class c is c + 1.
        info (dict): The entry, with ``eval_ann`` and ``ori_shape``.
        label (int): The class.

    Returns:
        np.ndarray: The mask with 255 in these pixels.
    """
    truth, shape = info['eval_ann'], info['ori_shape']
    if 'segmentations' not in truth:
        return values
    own = truth['labels'] == label
    easy = own & ~truth['difficult']
    if not easy.any() or easy.sum() == own.sum():
        return values
    objects = np.zeros(shape, dtype=bool)
    for index in np.flatnonzero(easy):
        objects |= decode_segmentation(
            truth['segmentations'][index], shape, truth['names'][index]
        )
    return np.where((values == label + 1) & ~objects, 255, values)
