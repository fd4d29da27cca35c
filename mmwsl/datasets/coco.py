"""Image-level labels and counts from annotations in COCO's format."""

import json
import os
from collections import defaultdict
from typing import Any, Container, Dict, List, Optional

import numpy as np

from mmwsl.datasets.base import DataInfo, WSLDataset
from mmwsl.datasets.files import FileIndex, image_id
from mmwsl.datasets.transforms.masks import decode_segmentation
from mmwsl.registry import DATASETS

Annotation = Dict[str, Any]


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
        data_prefix (dict): ``img_path`` is the folder of the images.
        metainfo (dict | None): ``classes``; by default all categories in the
            order of their ids.
        crowd_label (bool): Whether a crowd region alone gives the label.
        crowd_count (bool): Whether a crowd region counts as one object.
        unknown_class (str): 'ignore' or 'error', for categories of the file
            that are not in ``classes``.
        **kwargs: Arguments of :class:`WSLDataset`.

    Raises:
        FileNotFoundError: If the json file, or an image that it names, is
            missing.
        ValueError: If the file does not parse, lacks a part, names an image
            or category that it does not define, or has a broken box.

    Example:
        >>> COCOImageLevelDataset(
        ...     data_root='data/coco',
        ...     ann_file='annotations/instances_train2017.json',
        ...     data_prefix=dict(img_path='train2017'))
    """

    def __init__(
        self,
        ann_file: str,
        data_prefix: Optional[Dict[str, str]] = None,
        crowd_label: bool = True,
        crowd_count: bool = False,
        unknown_class: str = 'ignore',
        **kwargs: Any,
    ) -> None:
        if unknown_class not in ('error', 'ignore'):
            raise ValueError(
                "unknown_class must be 'error' or 'ignore', got "
                f'{unknown_class!r}'
            )
        self.crowd_label = crowd_label
        self.crowd_count = crowd_count
        self.unknown_class = unknown_class
        super().__init__(
            ann_file=ann_file,
            data_prefix={'img_path': '', **(data_prefix or {})},
            **kwargs,
        )

    def load_data_list(self) -> List[DataInfo]:
        """Read the json file."""
        content = self._read()
        label_of = self._label_of_category(content['categories'])
        of_image: Dict[Any, List[Annotation]] = defaultdict(list)
        known_images = {image['id'] for image in content['images']}
        with_boxes = _has_boxes(content['annotations'])
        for annotation in content['annotations']:
            fault = _unknown(annotation, known_images, label_of)
            # Boxes of classes that are passed over do not matter.
            if (
                not fault
                and self.test_mode
                and with_boxes
                and label_of[annotation['category_id']] is not None
            ):
                fault = _box_fault(annotation)
            if fault:
                name = f'annotation {annotation.get("id")}'
                self._problem(self.ann_file, f'{name} {fault}')
            else:
                of_image[annotation['image_id']].append(annotation)
        files, entries = FileIndex(), []
        for image in content['images']:
            path = os.path.join(
                self.data_prefix['img_path'], image['file_name']
            )
            if files.exists(path):
                found = of_image.get(image['id'], [])
                entry = self._to_entry(path, found, label_of, with_boxes)
                entries.append(entry)
                continue
            message = f'image {image["id"]} is {path}, which does not exist'
            if not self.collect_problems:
                raise FileNotFoundError(f'{self.ann_file}: {message}')
            self._problem(self.ann_file, message)
        return entries

    def _read(self) -> Dict[str, List[Dict[str, Any]]]:
        path = self.ann_file
        if not os.path.isfile(path):
            raise FileNotFoundError(f'{path}: annotation file does not exist')
        try:
            with open(path, encoding='utf-8') as file:
                content = json.load(file)
        except ValueError as error:
            raise ValueError(
                f'{path}: json does not parse ({error})'
            ) from error
        for key in ('images', 'annotations', 'categories'):
            if not isinstance(content, dict) or key not in content:
                raise ValueError(f'{path}: no {key!r} in the file')
        for key, needed in (
            ('images', ('id', 'file_name')),
            ('categories', ('id', 'name')),
        ):
            for item in content[key]:
                missing = [name for name in needed if name not in item]
                if missing:
                    raise ValueError(
                        f'{path}: an entry of {key!r} has no {missing[0]!r}'
                    )
        return content

    def _label_of_category(
        self, categories: List[Dict[str, Any]]
    ) -> Dict[int, Optional[int]]:
        """Map category ids to class indices, None for unknown classes."""
        ordered = sorted(categories, key=lambda item: item['id'])
        if not self.classes:
            self._metainfo['classes'] = [item['name'] for item in ordered]
        index = {name: i for i, name in enumerate(self.classes)}
        for item in ordered:
            if item['name'] not in index and self.unknown_class == 'error':
                self._problem(
                    self.ann_file,
                    f'category {item["name"]!r} is not in the list of classes '
                    "(unknown_class='ignore' passes over it)",
                )
        return {item['id']: index.get(item['name']) for item in ordered}

    def _to_entry(
        self,
        img_path: str,
        annotations: List[Annotation],
        label_of: Dict[int, Optional[int]],
        with_boxes: bool,
    ) -> DataInfo:
        items = [
            (label, item)
            for item in annotations
            for label in [label_of[item['category_id']]]
            if label is not None
        ]
        objects = {label for label, item in items if not item.get('iscrowd')}
        crowds = {label for label, item in items if item.get('iscrowd')}
        counts = dict.fromkeys(objects | crowds, 0)
        for label, item in items:
            if self.crowd_count or not item.get('iscrowd'):
                counts[label] += 1
        eval_ann: Dict[str, Any] = dict(
            labels=np.array([label for label, _ in items], dtype=np.int64),
            difficult=np.array(
                [bool(item.get('iscrowd')) for _, item in items], dtype=bool
            ),
        )
        if self.test_mode and with_boxes:
            boxes = [item['bbox'] for _, item in items]
            edges = np.array(boxes, dtype=np.float32).reshape(-1, 4)
            edges[:, 2:] += edges[:, :2]
            eval_ann['boxes'] = edges
        if all('segmentation' in item for _, item in items):
            eval_ann['segmentations'] = [i['segmentation'] for _, i in items]
        return self._entry(
            image_id(img_path, self.data_prefix['img_path']),
            img_path,
            labels=list(objects | crowds if self.crowd_label else objects),
            difficult_only=list(crowds - objects),
            counts=counts,
            eval_ann=eval_ann if self.test_mode else None,
        )


def _has_boxes(annotations: List[Annotation]) -> bool:
    """Whether a file has boxes, rather than labels alone."""
    return not annotations or any('bbox' in item for item in annotations)


def _unknown(
    annotation: Annotation, images: Container, categories: Container
) -> str:
    """What an annotation names that the file does not define, or ''."""
    for key, known in (('image_id', images), ('category_id', categories)):
        if annotation.get(key) not in known:
            return f'has the unknown {key} {annotation.get(key)}'
    return ''


def _box_fault(annotation: Annotation) -> str:
    """What is wrong with the box of an annotation, '' if nothing is."""
    if 'bbox' not in annotation:
        return 'has no bbox'
    box = annotation['bbox']
    try:
        numbers = np.array(box, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    if numbers.shape != (4,) or not np.isfinite(numbers).all():
        return f'has the bbox {box}, expected four finite numbers'
    if (numbers[2:] < 0).any():
        return f'has the bbox {box}, whose width or height is negative'
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
            truth['segmentations'][index], shape, info['img_id']
        )
    return np.where((values == label + 1) & ~objects, 255, values)
