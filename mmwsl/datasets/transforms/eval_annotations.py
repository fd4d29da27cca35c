"""Loading ground truth for evaluation, never for training.

n: objects of an image, (H, W): size of the original image.
"""

import logging
from typing import Any, Dict, Optional, Tuple

import cv2
import numpy as np
from mmengine.logging import print_log

from mmwsl.datasets.base import check_choice
from mmwsl.datasets.transforms.base import (
    Results,
    Transform,
    check_size,
    image_name,
)
from mmwsl.registry import TRANSFORMS
from mmwsl.utils.images import read_index_mask
from mmwsl.utils.masks import boxes_of_masks, check_boxes, decode_segmentation

IGNORED = 255


@TRANSFORMS.register_module()
class LoadEvalAnnotations(Transform):
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
        with_seg_map: Whether to load class masks.
        with_instances: Whether to load boxes.
        with_masks: Whether to load instances with masks; their boxes are then
            those of the masks.
        with_body_seg: Whether to load masks of bodies (toy data).
        with_loc_mask: Whether to load the mask of the one class that the image
            is labelled with.
        loc_mask_size: Height and width to which it is resized by nearest
            neighbour.
        seg_map_from: 'masks', or 'boxes' where there are no masks: the boxes
            are filled. Pixels in boxes of several classes, and in those of
            difficult objects alone, are ignored.
        absent: What a mask file is that nowhere shows a class which the image
            is labelled with: 'warn', 'error' or 'ignore'. With 'warn' a mask
            that holds nothing but 0 and 255 is an error still: objects were
            written as 255, which means ignored.

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
        seg_map_from: str = 'masks',
        absent: str = 'warn',
    ) -> None:
        check_choice('seg_map_from', seg_map_from, ('masks', 'boxes'))
        check_choice('absent', absent, ('warn', 'error', 'ignore'))
        self.with_seg_map = with_seg_map
        self.with_instances = with_instances or with_masks
        self.with_masks = with_masks
        self.with_body_seg = with_body_seg
        self.with_loc_mask = with_loc_mask
        self.loc_mask_size = loc_mask_size
        self.seg_map_from = seg_map_from
        self.absent = absent

    def transform(self, results: Results) -> Results:
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
        if self.with_seg_map and self.seg_map_from == 'boxes':
            loaded['gt_sem_seg'] = _filled_boxes(results)
        elif self.with_seg_map:
            loaded['gt_sem_seg'] = _seg_map(results, 'seg_map')
            if results['eval_ann'].get('seg_map_path'):
                _check_shown(results, loaded['gt_sem_seg'], self.absent)
        if self.with_body_seg:
            loaded['gt_body_seg'] = _seg_map(results, 'body_seg_map')
        if self.with_instances:
            loaded['gt_instances'] = _instances(results, self.with_masks)
        label = results['eval_ann'].get('only_label')
        if label is not None:
            _leave_class(loaded, label)
        if self.with_loc_mask:
            size = (self.loc_mask_size, self.loc_mask_size)
            loaded['gt_loc_mask'] = _loc_mask(results, size)
        results.setdefault('eval_gt', {}).update(loaded)
        return results


def _missing(results: Results, what: str) -> ValueError:
    reason = results['eval_ann'].get('reason', f'the dataset has no {what}')
    return ValueError(f'{image_name(results)}: {reason}')


def _seg_map(results: Results, key: str) -> np.ndarray:
    """Return one label map (H, W), from memory or from a file."""
    truth = results['eval_ann']
    if key in truth:
        seg_map, place = truth[key], f'{results["img_id"]} ({key})'
    elif truth.get(f'{key}_path'):
        place = truth[f'{key}_path']
        seg_map = read_index_mask(place)
    elif key == 'seg_map' and 'segmentations' in truth:
        return class_masks_of_instances(
            _listed_masks(results), truth['labels'], results['img_id']
        )
    elif key == 'seg_map' and 'object_masks' in truth:
        mask = object_mask(truth, results['ori_shape']).astype(np.int64)
        return np.where(mask == 1, _single_label(results) + 1, mask)
    else:
        raise _missing(results, key)
    check_size(results, seg_map.shape, place, 'mask is')
    if 'mask_values' in truth:
        seg_map = truth['mask_values'][seg_map]
    number = results['num_classes']
    values = np.flatnonzero(np.bincount(seg_map.ravel()))
    wrong = values[(values > number) & (values != IGNORED)]
    if wrong.size:
        raise ValueError(
            f'{place}: mask holds the value {wrong[0]}, but with {number} '
            f'classes only 0 to {number} and 255 mean something'
        )
    return seg_map.astype(np.int64)


def _filled_boxes(results: Results) -> np.ndarray:
    """Return the label map (H, W) of boxes instead of masks."""
    objects = _instances(results, with_masks=False)
    seg_map = np.zeros(results['ori_shape'][:2], dtype=np.int64)
    covered = np.zeros_like(seg_map, dtype=bool)
    # The difficult ones last: they matter only where there is nothing else.
    for index in np.argsort(objects['difficult'], kind='stable'):
        x1, y1, x2, y2 = np.rint(objects['bboxes'][index]).astype(int).tolist()
        part = seg_map[max(y1, 0) : y2, max(x1, 0) : x2]
        seen = covered[max(y1, 0) : y2, max(x1, 0) : x2]
        value = int(objects['labels'][index]) + 1
        if objects['difficult'][index]:
            part[~seen] = IGNORED
        else:
            part[seen & (part != value)] = IGNORED
            part[~seen] = value
        seen[:] = True
    return seg_map


def _loc_mask(results: Results, size: Tuple[int, int]) -> np.ndarray:
    """Return the mask of the image's class, resized."""
    if 'object_masks' in results['eval_ann']:
        return object_mask(results['eval_ann'], size).astype(np.int64)
    seg_map = _seg_map(results, 'seg_map')
    mask = np.where(seg_map == _single_label(results) + 1, 1, 0)
    mask[seg_map == IGNORED] = IGNORED
    return _resized(mask, size).astype(np.int64)


def _single_label(results: Results) -> int:
    labels = results['gt_label'].tolist()
    if len(labels) != 1:
        raise ValueError(
            f'{image_name(results)}: the mask of an image is that of its one '
            f'label, but it has {labels}: wrap the data set in '
            "dict(type='SingleLabelEntries', source=...)"
        )
    return int(labels[0])


def _check_shown(results: Results, seg_map: np.ndarray, absent: str) -> None:
    """Compare a mask file with the labels of its image."""
    labels = set(np.asarray(results.get('gt_label', ())).tolist())
    hard = set(np.asarray(results.get('gt_label_difficult', ())).tolist())
    shown = set(np.unique(seg_map).tolist())
    missing = sorted(c for c in labels - hard if c + 1 not in shown)
    if not missing or absent == 'ignore':
        return
    place, values = results['eval_ann']['seg_map_path'], sorted(shown)
    message = (
        f'{place}: mask shows no pixel of the class index {missing[0]}, which '
        'its image is labelled with: class c is stored as c + 1, but the mask '
        f'holds {values if len(values) < 9 else "other classes"}'
    )
    if absent == 'error' or IGNORED in shown and shown <= {0, IGNORED}:
        raise ValueError(message)
    print_log(message, logger='current', level=logging.WARNING)


def _instances(results: Results, with_masks: bool) -> Dict[str, Any]:
    """Return boxes, labels and maybe masks of the objects."""
    truth = results['eval_ann']
    found: Dict[str, np.ndarray] = {}
    if not with_masks:
        if 'boxes' not in truth:
            raise _missing(results, 'boxes')
        _check_image_size(results)
        boxes = _boxes(results)
    elif 'masks' in truth or 'segmentations' in truth:
        found['masks'] = _listed_masks(results)
        # Annotations of masks alone have no boxes.
        boxes = truth.get('boxes')
        if boxes is None:
            boxes = boxes_of_masks(found['masks'])
    elif truth.get('instance_map_path'):
        return _masks_of_map(results)
    else:
        raise _missing(results, 'instance masks')
    return dict(
        bboxes=boxes.astype(np.float32),
        labels=truth['labels'].astype(np.int64),
        difficult=truth['difficult'].astype(bool),
        **found,
    )


def _boxes(results: Results) -> np.ndarray:
    """Return the boxes, of data sets with a margin cut at the border."""
    truth, (height, width) = results['eval_ann'], results['ori_shape']
    boxes: np.ndarray = truth['boxes'].astype(np.float32)
    margin = truth.get('box_margin')
    if margin is None:
        return boxes
    try:
        check_boxes(boxes, (height, width), margin=margin)
    except ValueError as error:
        name = image_name(results)
        place = truth.get('place', name)
        raise ValueError(f'{place}: {error} ({name})') from None
    return boxes.clip(0, [width, height, width, height])


def _check_image_size(results: Results) -> None:
    """Refuse objects of another size; say where turning does not tell."""
    name = image_name(results)
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


def _listed_masks(results: Results) -> np.ndarray:
    """Return the masks bool (n, H, W) that a data set lists one by one."""
    truth, shape = results['eval_ann'], results['ori_shape']
    masks: Optional[np.ndarray] = truth.get('masks')
    if masks is not None:
        if len(masks):
            place = f'{results["img_id"]} (masks)'
            check_size(results, masks.shape[1:], place, 'mask is')
        return masks.astype(bool)
    _check_image_size(results)
    items = zip(truth['segmentations'], truth['names'])
    decoded = [decode_segmentation(item, shape, name) for item, name in items]
    return np.array(decoded, dtype=bool).reshape(-1, *shape)


def _masks_of_map(results: Results) -> Dict[str, Any]:
    """Return the instances of a map of instance numbers (VOC layout).

    The class of an instance is what most of its pixels have in the class
    mask; number i is the i-th object of the annotation, which says whether
    it is difficult.
    """
    truth = results['eval_ann']
    place = truth['instance_map_path']
    instance_map = read_index_mask(place)
    check_size(results, instance_map.shape, place, 'mask is')
    seg_map = _seg_map(results, 'seg_map')
    listed = truth.get('labels', np.zeros(0, dtype=np.int64))
    masks, labels, difficult = [], [], []
    for number in np.unique(instance_map):
        mask = instance_map == number
        votes = np.bincount(seg_map[mask], minlength=256)
        votes[[0, IGNORED]] = 0
        if number in (0, IGNORED) or not votes.any():
            continue
        label = int(votes.argmax()) - 1
        known = number <= len(listed) and listed[number - 1] == label
        masks.append(mask)
        labels.append(label)
        difficult.append(bool(known and truth['difficult'][number - 1]))
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

    ``masks`` are bool (n, H, W) of classes ``labels`` (n,); ``name`` is what
    an error calls the image.

    Returns:
        int64 (H, W), 0 background, c + 1 class c.

    Raises:
        ValueError: If a class would be written as 255, which means ignored.
    """
    if len(labels) and labels.max() >= IGNORED - 1:
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

    ``object_masks`` and ``ignore_masks`` are paths of pictures in which 0 is
    outside. They need not have the size of the image: each is brought to
    ``size`` by nearest neighbour on its own, as published (OpenImages30k).

    Returns:
        uint8 ``size``: 1 in any object, else 255 in any ignore region, else
        0.

    Raises:
        FileNotFoundError: If a mask is missing.
        ValueError: If a mask cannot be read.
    """
    joined = np.zeros(size, dtype=np.uint8)
    for key, value in (('ignore_masks', IGNORED), ('object_masks', 1)):
        for path in annotation[key]:
            joined[_resized(read_index_mask(path) > 0, size) > 0] = value
    return joined


def _resized(mask: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Bring a mask to (height, width) by nearest neighbour, as uint8."""
    resized: np.ndarray = cv2.resize(
        mask.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST
    )
    return resized


def _leave_class(loaded: Dict[str, Any], label: int) -> None:
    """Leave nothing but one class in what was loaded."""
    for key in ('gt_sem_seg', 'gt_body_seg'):
        if key in loaded:
            kept = np.isin(loaded[key], (label + 1, IGNORED))
            loaded[key] = np.where(kept, loaded[key], 0)
    if 'gt_instances' in loaded:
        instances = loaded['gt_instances']
        own = instances['labels'] == label
        loaded['gt_instances'] = {k: v[own] for k, v in instances.items()}
