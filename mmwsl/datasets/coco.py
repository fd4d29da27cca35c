"""Image-level labels and counts from annotations in COCO's format."""

import os
from collections import Counter, defaultdict
from reprlib import repr as short
from typing import Any, Dict, List, Optional

import numpy as np

from mmwsl.datasets.base import DataInfo, Size, WSLDataset, check_choice
from mmwsl.datasets.files import FileIndex, image_id, path_inside
from mmwsl.registry import DATASETS
from mmwsl.utils.files import naming, read_json
from mmwsl.utils.masks import check_boxes, decode_segmentation

Annotation = Dict[str, Any]
# What the entries of each list must have.
_ID = (int, float, str)
_LISTS: Dict[str, Dict[str, Any]] = {
    'images': {'id': _ID, 'file_name': str},
    'annotations': {},
    'categories': {'id': _ID, 'name': str},
}
_UNIQUE = (('images', 'id'), ('categories', 'id'), ('categories', 'name'))
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
        ann_file: The json file.
        crowd_label: Whether a crowd region alone gives the label.
        crowd_count: Whether a crowd region counts as one object.
        unknown_class: 'ignore' or 'error', for categories of the file that are
            not in ``classes``.
        missing_class: 'error' or 'ignore', for ``classes`` that are no
            category of the file.
        **kwargs: Arguments of :class:`WSLDataset`; ``data_prefix`` holds
            ``img_path``, the folder of the images, and without ``metainfo``
            the classes are all categories in the order of their ids.

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
        for item in content['annotations']:
            with self._noting(self.ann_file):
                boxes = self.test_mode and holds['bbox']
                if self._is_wanted(item, sizes, label_of, boxes):
                    of_image[item['image_id']].append(item)
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
        """Read the file; its entries have what is needed, and one id each."""
        path = self.ann_file
        content = read_json(path, 'annotation file')
        for key, needed in _LISTS.items():
            if not isinstance(content, dict) or key not in content:
                raise ValueError(f'{path}: no {key!r} in the file')
            self._check_list(key, content[key], needed)
        for item in content['categories']:
            item['name'] = item['name'].strip()
        for key, name in _UNIQUE:
            values = Counter(item[name] for item in content[key])
            for value, times in values.most_common(1):
                if times > 1:
                    raise ValueError(
                        f'{path}: {times} entries of {key!r} have the {name} '
                        f'{value!r}'
                    )
        return content

    def _check_list(
        self, key: str, items: Any, needed: Dict[str, Any]
    ) -> None:
        """Refuse a list of the file whose entries lack something."""
        if not isinstance(items, list):
            raise ValueError(
                f'{self.ann_file}: {key!r} is {short(items)}, expected a list'
            )
        for number, item in enumerate(items):
            place = f'{self.ann_file}: entry {number} of {key!r}'
            if not isinstance(item, dict):
                raise ValueError(f'{place} is {short(item)}, expected a dict')
            for name, kind in needed.items():
                value = item.get(name)
                if not isinstance(value, kind) or isinstance(value, bool):
                    raise ValueError(f'{place} has the {name} {short(value)}')

    def _label_of_category(
        self, categories: List[Dict[str, Any]]
    ) -> Dict[Any, Optional[int]]:
        """Map category ids to class indices, None for unknown classes."""
        if len({isinstance(item['id'], str) for item in categories}) > 1:
            ids = [item['id'] for item in categories]
            raise ValueError(
                f"{self.ann_file}: 'categories' have ids that are numbers and "
                f'ids that are text: {short(ids)}'
            )
        ordered = sorted(categories, key=lambda item: item['id'])
        names = [item['name'] for item in ordered]
        if not self.classes:
            self._metainfo['classes'] = names
        missing = [name for name in self.classes if name not in names]
        if missing and self.missing_class == 'error':
            raise ValueError(
                f'{self.ann_file}: the class {missing[0]!r} is none of its '
                f'categories {short(names)} (missing_class='
                "'ignore' accepts that)"
            )
        found: Dict[Any, Optional[int]] = {}
        label_of = self._label_of()
        for item in ordered:
            found[item['id']] = label_of.get(item['name'])
            with self._noting():
                self._label(item['name'], label_of, self.ann_file)
        return found

    def _is_wanted(
        self,
        item: Annotation,
        sizes: Dict[Any, Optional[Size]],
        label_of: Dict[Any, Optional[int]],
        boxes: bool,
    ) -> bool:
        """Whether an annotation is of a known class; it must be sound then."""
        place = f'{self.ann_file}: annotation {item.get("id")} has'
        for key, known in (('image_id', sizes), ('category_id', label_of)):
            value = item.get(key)
            # Lists and dicts cannot be looked up.
            if not isinstance(value, _ID) or value not in known:
                raise ValueError(f'{place} the unknown {key} {short(value)}')
        crowd = item.get('iscrowd', 0)
        if str(crowd).lower() not in _FLAGS:
            raise ValueError(
                f'{place} the iscrowd {short(crowd)}, expected 0 or 1'
            )
        # Classes that are passed over do not matter, nor do their boxes.
        if label_of[item['category_id']] is None:
            return False
        if boxes and 'bbox' not in item:
            raise ValueError(f'{place} no bbox')
        if boxes:
            place = f'{place} the bbox {short(item["bbox"])}'
            with naming(place):
                _check_box(item['bbox'], sizes[item['image_id']])
        return True

    def _to_entry(
        self,
        img_path: str,
        image: Dict[str, Any],
        objects: List[Annotation],
        label_of: Dict[Any, Any],
        holds: Dict[str, bool],
    ) -> DataInfo:
        truth: Dict[str, Any] = {}
        if self.test_mode:
            stem = os.path.splitext(image['file_name'])[0]
            truth['size'] = _size(image)
            truth['place'] = f'{self.ann_file}: image {stem}'
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
        return self._entry_of_objects(
            image_id(img_path, self.data_prefix['img_path']),
            img_path,
            [label_of[item['category_id']] for item in objects],
            [_FLAGS[str(x.get('iscrowd', 0)).lower()] for x in objects],
            (self.crowd_label, self.crowd_count),
            **truth,
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


def _check_box(box: Any, size: Optional[Size]) -> None:
    """Refuse a box that is no left, top, width and height in its image."""
    numbers = isinstance(box, list) and all(
        isinstance(value, (int, float)) and abs(value) < 2**31 for value in box
    )
    if not numbers or len(box) != 4:
        raise ValueError('expected four finite numbers')
    left, top, width, height = box
    if width < 0 or height < 0:
        raise ValueError('the width or height is negative')
    if size is not None:
        edges = np.array([left, top, left + width, top + height])
        check_boxes(edges, size, margin=1)


def without_crowds(
    values: np.ndarray, info: DataInfo, label: int
) -> np.ndarray:
    """Write 255 where only crowd regions cover the class ``label``.

    As with boxes, they stay where there are no other objects. ``values`` is
    a mask (H, W) of c + 1 for class c, of the entry ``info``, which has
    ``eval_ann`` and ``ori_shape``.
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
