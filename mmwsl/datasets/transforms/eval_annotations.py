"""Loading ground truth for evaluation, never for training.

n: objects of an image, (H, W): size of the original image.
"""

import logging
from typing import Any, Dict, Optional, Tuple

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log

from mmwsl.registry import TRANSFORMS
from mmwsl.utils.images import read_index_mask
from mmwsl.utils.masks import boxes_of_masks, check_boxes, decode_segmentation

IGNORED = 255


@TRANSFORMS.register_module()
class LoadEvalAnnotations(BaseTransform):
    """Load masks and boxes for metrics and pictures.

    They are kept at the size of the original image under ``eval_gt``, which
    no other transform touches, and reach a data sample only where
    ``PackWSLInputs(eval_keys=...)`` names them.

    Required keys: ``eval_ann`` (datasets have it in test mode only),
    ``ori_shape``, ``num_classes``. Added key: ``eval_gt``, a dict of

    - ``gt_sem_seg`` int64 (H, W): 0 background, c + 1 for class c, 255 for
      ignored pixels.
    - ``gt_body_seg``: the same with discriminative parts ignored.
    - ``gt_instances``: dict of ``bboxes`` float32 (n, 4) as x1, y1, x2, y2
      edges, ``labels`` int64 (n,), ``difficult`` bool (n,) and with
      ``with_masks`` ``masks`` bool (n, H, W).
    - ``gt_loc_mask`` int64 (``loc_mask_size``, ``loc_mask_size``): 1 in
      objects of the image's class, 0 outside, 255 for ignored pixels.

    Where the dataset's entry stands for one class of the image
    (``eval_ann['only_label']``) the others are background and their objects
    are left out.

    Args:
        with_seg_map (bool): Whether to load class masks.
        with_instances (bool): Whether to load boxes.
        with_masks (bool): Whether to load instances with masks; their boxes
            are then those of the masks.
        with_body_seg (bool): Whether to load masks of bodies (toy data).
        with_loc_mask (bool): Whether to load the mask of the one class that
            the image is labelled with.
        loc_mask_size (int): Height and width to which it is resized by
            nearest neighbour.
        absent (str): What a mask file is that nowhere shows a class which the
            image is labelled with: 'warn', 'error' or 'ignore'. With 'warn'
            a mask that holds nothing but 0 and 255 is an error still: objects
            were written as 255, which means ignored.

    Raises:
        FileNotFoundError: If a mask file is missing.
        ValueError: If the dataset is a training set, if it has no such ground
            truth, if a mask has another size than its image, or if the image
            has not the size that its boxes were drawn for.
    """

    def __init__(
        self,
        with_seg_map: bool = True,
        with_instances: bool = False,
        with_masks: bool = False,
        with_body_seg: bool = False,
        with_loc_mask: bool = False,
        loc_mask_size: int = 224,
        absent: str = 'warn',
    ) -> None:
        if absent not in ('warn', 'error', 'ignore'):
            raise ValueError(
                "LoadEvalAnnotations: absent must be 'warn', 'error' or "
                f"'ignore', got {absent!r}"
            )
        self.with_seg_map = with_seg_map
        self.with_instances = with_instances or with_masks
        self.with_masks = with_masks
        self.with_body_seg = with_body_seg
        self.with_loc_mask = with_loc_mask
        self.loc_mask_size = loc_mask_size
        self.absent = absent

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Add ``eval_gt`` to ``results``."""
        if 'eval_ann' not in results:
            raise ValueError(
                'LoadEvalAnnotations belongs in evaluation pipelines: the '
                'dataset holds no ground truth unless test_mode=True'
            )
        if 'ori_shape' not in results:
            raise ValueError(
                'LoadEvalAnnotations must come after the image is loaded'
            )
        loaded: Dict[str, Any] = {}
        if self.with_seg_map:
            loaded['gt_sem_seg'] = _seg_map(results, 'seg_map')
            if results['eval_ann'].get('seg_map_path'):
                _check_shown(results, loaded['gt_sem_seg'], self.absent)
        if self.with_body_seg:
            loaded['gt_body_seg'] = _seg_map(results, 'body_seg_map')
        if self.with_instances:
            loaded['gt_instances'] = _instances(results, self.with_masks)
        loaded = only_class(loaded, results['eval_ann'].get('only_label'))
        if self.with_loc_mask:
            size = (self.loc_mask_size, self.loc_mask_size)
            loaded['gt_loc_mask'] = _loc_mask(results, size)
        results.setdefault('eval_gt', {}).update(loaded)
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(with_seg_map={self.with_seg_map}, '
            f'with_instances={self.with_instances}, '
            f'with_masks={self.with_masks}, '
            f'with_body_seg={self.with_body_seg}, '
            f'with_loc_mask={self.with_loc_mask}, '
            f'loc_mask_size={self.loc_mask_size}, absent={self.absent!r})'
        )


def _missing(results: Dict[str, Any], what: str) -> ValueError:
    name = results.get('img_path') or results.get('img_id')
    reason = results['eval_ann'].get('reason', f'the dataset has no {what}')
    return ValueError(f'{name}: {reason}')


def _seg_map(results: Dict[str, Any], key: str) -> np.ndarray:
    """Return one label map (H, W), from memory or from a file."""
    annotation = results['eval_ann']
    if key in annotation:
        seg_map, place = annotation[key], f'{results["img_id"]} ({key})'
    elif annotation.get(f'{key}_path'):
        place = annotation[f'{key}_path']
        seg_map = read_index_mask(place)
    elif key == 'seg_map' and 'segmentations' in annotation:
        return class_masks_of_instances(
            _listed_masks(results), annotation['labels'], results['img_id']
        )
    elif key == 'seg_map' and 'object_masks' in annotation:
        mask = object_mask(annotation, results['ori_shape']).astype(np.int64)
        return np.where(mask == 1, _single_label(results) + 1, mask)
    else:
        raise _missing(results, key)
    _check_size(results, seg_map.shape, place)
    if 'mask_values' in annotation:
        seg_map = annotation['mask_values'][seg_map]
    _check_values(seg_map, results['num_classes'], place)
    return seg_map.astype(np.int64)


def _loc_mask(results: Dict[str, Any], size: Tuple[int, int]) -> np.ndarray:
    """Return the mask of the image's class, resized."""
    annotation = results['eval_ann']
    if 'object_masks' in annotation:
        mask = object_mask(annotation, size)
    else:
        seg_map = _seg_map(results, 'seg_map')
        mask = resize_mask(class_mask(seg_map, _single_label(results)), size)
    return mask.astype(np.int64)


def _single_label(results: Dict[str, Any]) -> int:
    labels = results['gt_label'].tolist()
    if len(labels) != 1:
        name = results.get('img_path') or results.get('img_id')
        raise ValueError(
            f'{name}: the mask of an image is that of its one label, but it '
            f"has {labels}: wrap the data set in dict(type='"
            "SingleLabelEntries', source=...)"
        )
    return int(labels[0])


def _check_size(
    results: Dict[str, Any], shape: Tuple[int, ...], place: str
) -> None:
    height, width = results['ori_shape']
    if tuple(shape) != (height, width):
        name = results.get('img_path') or results.get('img_id')
        raise ValueError(
            f'{place}: mask is {shape[1]} x {shape[0]} pixels, but its image '
            f'{name} is {width} x {height}'
        )


def _check_values(seg_map: np.ndarray, num_classes: int, place: str) -> None:
    values = np.flatnonzero(np.bincount(seg_map.ravel(), minlength=256))
    wrong = values[(values > num_classes) & (values != 255)]
    if wrong.size:
        raise ValueError(
            f'{place}: mask holds the value {wrong[0]}, but with '
            f'{num_classes} classes only 0 to {num_classes} and 255 mean '
            'something'
        )


def _check_shown(
    results: Dict[str, Any], seg_map: np.ndarray, absent: str
) -> None:
    """Compare a mask file with the labels of its image."""
    hard = results.get('gt_label_difficult', ())
    labels = set(np.asarray(results.get('gt_label', ())).tolist())
    shown = set(np.unique(seg_map).tolist())
    labels.difference_update(np.asarray(hard).tolist())
    missing = sorted(label for label in labels if label + 1 not in shown)
    if not missing or absent == 'ignore':
        return
    place, values = results['eval_ann']['seg_map_path'], sorted(shown)
    message = (
        f'{place}: mask shows no pixel of the class index {missing[0]}, which '
        'its image is labelled with: class c is stored as c + 1, but the mask '
        f'holds {values if len(values) < 9 else "other classes"}'
    )
    if absent == 'error' or 255 in shown and shown <= {0, 255}:
        raise ValueError(message)
    print_log(message, logger='current', level=logging.WARNING)


def _instances(results: Dict[str, Any], with_masks: bool) -> Dict[str, Any]:
    annotation = results['eval_ann']
    if not with_masks:
        if 'boxes' not in annotation:
            raise _missing(results, 'boxes')
        _check_image_size(results)
        return dict(
            bboxes=_boxes(results),
            labels=annotation['labels'].astype(np.int64),
            difficult=annotation['difficult'].astype(bool),
        )
    if 'masks' in annotation or 'segmentations' in annotation:
        return _known_masks(results)
    if annotation.get('instance_map_path'):
        return _masks_of_map(results)
    raise _missing(results, 'instance masks')


def _boxes(results: Dict[str, Any]) -> np.ndarray:
    """Return the boxes, of data sets with a margin cut at the border."""
    annotation, (height, width) = results['eval_ann'], results['ori_shape']
    boxes: np.ndarray = annotation['boxes'].astype(np.float32)
    margin = annotation.get('box_margin')
    if margin is None:
        return boxes
    try:
        check_boxes(boxes, (height, width), margin=margin)
    except ValueError as error:
        name = results.get('img_path') or results.get('img_id')
        place = annotation.get('place', name)
        raise ValueError(f'{place}: {error} ({name})') from None
    return boxes.clip(0, [width, height, width, height])


def _check_image_size(results: Dict[str, Any]) -> None:
    """Refuse objects that were drawn for another picture.

    A size that stays the same when the picture is turned does not tell, which
    is said.
    """
    name = results.get('img_path') or results.get('img_id')
    size = results['eval_ann'].get('size')
    height, width = results['ori_shape']
    orientation = results.get('exif_orientation', 1)
    hint = (
        'the image is turned by its EXIF entry, which '
        'LoadWSLImage(exif_orientation=False) ignores'
    )
    if size is not None and tuple(size) != (height, width):
        turned = f'; {hint}' if orientation > 4 else ''
        raise ValueError(
            f'{name}: the image is {width} x {height}, but its objects belong '
            f'to one of {size[1]} x {size[0]} pixels{turned}'
        )
    same = size is None or orientation < 5 or height == width
    if orientation > 1 and same:
        print_log(
            f'{name}: {hint}; its objects must have been drawn for the turned '
            'one, which their file does not say',
            logger='current',
            level=logging.WARNING,
        )


def _known_masks(results: Dict[str, Any]) -> Dict[str, Any]:
    """Return instances whose masks the dataset lists one by one."""
    annotation = results['eval_ann']
    masks: Optional[np.ndarray] = annotation.get('masks')
    if masks is None:
        masks = _listed_masks(results)
    elif len(masks):
        _check_size(results, masks.shape[1:], f'{results["img_id"]} (masks)')
    boxes = annotation.get('boxes')
    # Annotations of masks alone have none.
    boxes = boxes_of_masks(masks) if boxes is None else boxes
    return dict(
        bboxes=boxes.astype(np.float32),
        labels=annotation['labels'].astype(np.int64),
        difficult=annotation['difficult'].astype(bool),
        masks=masks.astype(bool),
    )


def _listed_masks(results: Dict[str, Any]) -> np.ndarray:
    """Decode the segmentations of all objects, bool (n, H, W)."""
    annotation, shape = results['eval_ann'], results['ori_shape']
    _check_image_size(results)
    items = zip(annotation['segmentations'], annotation['names'])
    masks = [decode_segmentation(item, shape, name) for item, name in items]
    return np.array(masks, dtype=bool).reshape(-1, *shape)


def _masks_of_map(results: Dict[str, Any]) -> Dict[str, Any]:
    """Return the instances of a map of instance numbers (VOC layout).

    The class of an instance is what most of its pixels have in the class
    mask; number i is the i-th object of the annotation, which says whether
    it is difficult.
    """
    annotation, place = (
        results['eval_ann'],
        results['eval_ann']['instance_map_path'],
    )
    instance_map = read_index_mask(place)
    _check_size(results, instance_map.shape, place)
    seg_map = _seg_map(results, 'seg_map')
    listed = annotation.get('labels', np.zeros(0, dtype=np.int64))
    masks, labels, difficult = [], [], []
    for number in np.unique(instance_map):
        mask = instance_map == number
        votes = np.bincount(seg_map[mask], minlength=256)
        votes[[0, 255]] = 0
        if number in (0, 255) or not votes.any():
            continue
        label = int(votes.argmax()) - 1
        known = number <= len(listed) and listed[number - 1] == label
        masks.append(mask)
        labels.append(label)
        difficult.append(bool(known and annotation['difficult'][number - 1]))
    return dict(
        bboxes=boxes_of_masks(masks),
        labels=np.array(labels, dtype=np.int64),
        difficult=np.array(difficult, dtype=bool),
        masks=np.array(masks, dtype=bool).reshape(-1, *instance_map.shape),
    )


def class_masks_of_instances(
    masks: np.ndarray, labels: np.ndarray, name: str
) -> np.ndarray:
    """Paint the classes of instances, the largest one first.

    Args:
        masks (np.ndarray): bool (n, H, W).
        labels (np.ndarray): Their classes (n,).
        name (str): What to call the image in an error.

    Returns:
        np.ndarray: int64 (H, W), 0 background, c + 1 class c.

    Raises:
        ValueError: If a class would be written as 255, which means ignored.
    """
    if len(labels) and labels.max() >= 254:
        raise ValueError(
            f'{name}: class masks hold at most 254 classes, but an object '
            f'has the class index {labels.max()}'
        )
    seg_map = np.zeros(masks.shape[1:], dtype=np.int64)
    for index in sorted(range(len(masks)), key=lambda i: -masks[i].sum()):
        seg_map[masks[index]] = labels[index] + 1
    return seg_map


def object_mask(
    annotation: Dict[str, Any], size: Tuple[int, int]
) -> np.ndarray:
    """Join the masks of an image's objects and its ignore regions.

    Masks need not have the size of the image: each is brought to ``size`` by
    nearest neighbour on its own, as published (OpenImages30k).

    Args:
        annotation (dict): ``object_masks`` and ``ignore_masks``, paths of
            pictures in which 0 is outside.
        size (tuple[int]): Height and width of the result.

    Returns:
        np.ndarray: uint8 ``size``: 1 in any object, else 255 in any ignore
        region, else 0.

    Raises:
        FileNotFoundError: If a mask is missing.
        ValueError: If a mask cannot be read.
    """
    joined = np.zeros(size, dtype=np.uint8)
    for key, value in (('ignore_masks', IGNORED), ('object_masks', 1)):
        for path in annotation[key]:
            plane = (read_index_mask(path) > 0).astype(np.uint8)
            joined[resize_mask(plane, size) > 0] = value
    return joined


def class_mask(seg_map: np.ndarray, label: int) -> np.ndarray:
    """The mask of one class: 1, 0 others, 255 stays.

    Args:
        seg_map (np.ndarray): (H, W), class c is c + 1.
        label (int): The class c.

    Returns:
        np.ndarray: uint8 (H, W).
    """
    mask = (seg_map == label + 1).astype(np.uint8)
    mask[seg_map == IGNORED] = IGNORED
    return mask


def resize_mask(mask: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Bring a uint8 mask to (height, width) by nearest neighbour."""
    resized: np.ndarray = cv2.resize(
        mask, size[::-1], interpolation=cv2.INTER_NEAREST
    )
    return resized


def only_class(
    ground_truth: Dict[str, Any], label: Optional[int]
) -> Dict[str, Any]:
    """Leave nothing but one class in what was loaded.

    Args:
        ground_truth (dict): ``gt_sem_seg``, ``gt_body_seg``,
            ``gt_instances`` as far as they were loaded.
        label (int | None): The class, None for all.

    Returns:
        dict: The same with other classes as background and their objects
        left out.
    """
    if label is None:
        return ground_truth
    narrow = dict(ground_truth)
    for key in ('gt_sem_seg', 'gt_body_seg'):
        if key in narrow:
            kept = np.isin(narrow[key], (label + 1, IGNORED))
            narrow[key] = np.where(kept, narrow[key], 0)
    if 'gt_instances' in narrow:
        instances = narrow['gt_instances']
        own = instances['labels'] == label
        narrow['gt_instances'] = {k: v[own] for k, v in instances.items()}
    return narrow
