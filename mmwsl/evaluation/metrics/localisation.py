"""Localisation by score maps: MaxBoxAcc, the Loc scores, PxAP and pIoU."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

import cv2
import numpy as np

from mmwsl.evaluation.files import read_class_scores, rows_of_images
from mmwsl.evaluation.functional.boxes import (
    THRESHOLDS,
    best_ious,
    check_score_map,
    resize_boxes,
    sweep_boxes,
)
from mmwsl.evaluation.functional.classification import topk_hits
from mmwsl.evaluation.functional.pixel_pr import (
    pixel_histograms,
    pixel_scores,
)
from mmwsl.evaluation.metrics.base import (
    WSLMetric,
    field,
    image_name,
    label_indices,
    pixels,
    say,
)
from mmwsl.proposals.pseudo_boxes import read_boxes
from mmwsl.pseudo_labels.labels import IGNORE
from mmwsl.registry import METRICS
from mmwsl.utils.arrays import array, mean_without_nan
from mmwsl.utils.masks import check_boxes
from mmwsl.utils.tables import percent

# The overlap that MaxBoxAcc and the Loc scores ask for.
KNOWN_IOU = 0.5
AVERAGES = ('image', 'dataset')
# By how many pixels boxes leave their image where sets round them.
ROUNDING = 0.5


class ScoreMapMetric(WSLMetric):
    """Score the map of each image's class over a sweep of thresholds.

    Args:
        thresholds (Sequence[float], optional): Ascending, from 0 to 1; None
            for 0 to 0.999 in steps of 0.001, as published.
        size (int, optional): Height and width of the score maps; None keeps
            theirs.
        options: Arguments of ``WSLMetric``.
    """

    def __init__(
        self,
        thresholds: Optional[Sequence[float]],
        size: Optional[int],
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.thresholds = np.asarray(
            THRESHOLDS if thresholds is None else thresholds, dtype=np.float64
        )
        if not self.thresholds.size:
            raise ValueError('thresholds must not be empty')
        self.size = size

    def score_map(self, sample: Mapping[str, Any]) -> np.ndarray:
        """Return the map (H, W) of a sample's class in [0, 1].

        ``pred_score_map`` (1, h, w), or without it the map of ``gt_label`` in
        ``pred_maps``. A map of another size is resized (bicubic), and it, or
        one from ``pred_maps``, min-max scaled; a constant one becomes 0.
        """
        if self.classes and sample.get('gt_label') is not None:
            label_indices(sample, 'gt_label', len(self.classes))
        finished = sample.get('pred_score_map') is not None
        if finished:
            found = pixels(sample, 'pred_score_map')
        else:
            found = _map_of_class(sample)
        check_score_map(found)
        shape = (self.size, self.size) if self.size else found.shape
        if found.shape != shape:
            plane = found.astype(np.result_type(found.dtype, np.float32))
            found = cv2.resize(plane, shape, interpolation=cv2.INTER_CUBIC)
        elif finished:
            return found
        low, high = found.min(), found.max()
        if low == high:
            return np.zeros_like(found)
        # Rounding may not leave the range.
        scaled: np.ndarray = np.clip((found - low) / (high - low), 0, 1)
        return scaled


@METRICS.register_module()
class MaxBoxAccMetric(ScoreMapMetric):
    """Boxes of score maps against boxes of objects, at the best threshold.

    Reads ``pred_score_map`` (1, h, w) in [0, 1], or without it the map of
    the image's class in ``pred_maps``; ``gt_label`` (1,), the boxes of
    ``gt_instances`` of that class (difficult ones only where there are no
    others), ``ori_shape`` and, if there, ``pred_score`` (C,). Boxes of the
    map are those of :func:`maps_to_boxes`; ground truth is brought to the
    map's size by cutting off fractions. An image is right at a threshold if
    the IoU with any box of its objects is at least delta. Reports in percent:

    - ``MaxBoxAccV2``: all contours; for each delta the accuracy at its own
      best threshold, ``MaxBoxAccV2@0.3`` and so on, and their mean
      (https://arxiv.org/abs/2001.07437).
    - ``MaxBoxAcc`` and ``GT-known Loc``, which are the same for maps of the
      true class: the largest contour, delta 0.5.
    - ``Top-1 Loc``, ``Top-5 Loc``: at the threshold of ``GT-known Loc``, the
      share of images that are right and whose class is among the first k.

    and ``box_threshold``, that of ``GT-known Loc``.

    Args:
        iou_thresholds (Sequence[float]): The deltas of V2.
        thresholds (Sequence[float], optional): In any order.
        topk (Sequence[int]): The values of k; those above the number of
            classes are left out.
        scores_file (str, optional): Class scores of another classifier,
            taken instead of ``pred_score``: .csv or .npz, see
            :func:`mmwsl.evaluation.files.read_class_scores`. An entry
            ``a/cat`` that it lacks takes those of the image ``a``.
        outside_boxes (str): 'error', or 'keep' for sets that are known to
            have boxes over the border of the image.
        boxes_file (str, optional): Boxes that are taken instead of those of
            the data set, which needs none then; see
            ``tools/dataset_converters/make_pseudo_boxes.py``. With
            ``prefix='pseudo'`` they choose models and thresholds, whatever
            the true ones say.
        options: As ``size`` those of ``ScoreMapMetric``.
    """

    def __init__(
        self,
        iou_thresholds: Sequence[float] = (0.3, 0.5, 0.7),
        thresholds: Optional[Sequence[float]] = None,
        size: Optional[int] = 224,
        topk: Sequence[int] = (1, 5),
        scores_file: Optional[str] = None,
        outside_boxes: str = 'error',
        boxes_file: Optional[str] = None,
        **options: Any,
    ) -> None:
        super().__init__(thresholds, size, **options)
        if not iou_thresholds:
            raise ValueError('iou_thresholds must not be empty')
        if any(k < 1 for k in topk):
            raise ValueError(f'topk must list positive numbers, got {topk}')
        if outside_boxes not in ('error', 'keep'):
            raise ValueError(
                "outside_boxes must be 'error' or 'keep', got "
                f'{outside_boxes!r}'
            )
        self.iou_thresholds = tuple(iou_thresholds)
        self.topk = tuple(topk)
        self.scores_file = scores_file
        self.outside_boxes = outside_boxes
        self._given: Optional[Dict[str, np.ndarray]] = None
        self.boxes_file = boxes_file
        self._boxes = read_boxes(boxes_file) if boxes_file else {}

    def image_result(self, sample: Mapping[str, Any]) -> Dict[str, Any]:
        """Return at which thresholds the boxes of an image are right."""
        scores = self.score_map(sample)
        if self.boxes_file is None:
            boxes = gt_boxes(sample, self.outside_boxes == 'error')
        elif image_name(sample) in self._boxes:
            boxes = self._boxes[image_name(sample)]
        else:
            raise ValueError(f'{self.boxes_file} has no box of this image')
        truth = resize_boxes(boxes, original_size(sample), scores.shape)
        sweep = sweep_boxes(scores, self.thresholds)
        largest, every = best_ious(sweep, truth)
        right = [every >= delta for delta in self.iou_thresholds]
        # One bit for each threshold and row.
        bits = np.packbits([largest >= KNOWN_IOU, *right], axis=-1)
        return {'right': bits, 'hits': self._hits(sample)}

    def _hits(self, sample: Mapping[str, Any]) -> Dict[int, bool]:
        """Whether the label is among the first k, for the k that exist."""
        scores = self._class_scores(sample)
        if scores is None:
            return {}
        label = single_label(sample)
        if not (scores.ndim == 1 and label < len(scores)):
            raise ValueError(
                f'class scores have shape {scores.shape}, but the label is '
                f'{label}'
            )
        known = [k for k in self.topk if k == 1 or k <= len(scores)]
        hits = topk_hits(scores, label, known)
        return {k: bool(hit) for k, hit in zip(known, hits)}

    def _class_scores(self, sample: Mapping[str, Any]) -> Optional[np.ndarray]:
        """Scores of an image, those of the file if there is one."""
        if self.scores_file is None:
            found = sample.get('pred_score')
            return None if found is None else array(found)
        if self._given is None:
            given = read_class_scores(self.scores_file)
            rows = given.scores
            if self.classes:
                rows = rows_of_images(
                    given, given.ids, self.classes, self.scores_file
                )
            self._given = dict(zip(given.ids, rows))
        name = image_name(sample)
        for key in (name, name.rpartition('/')[0]):
            if key in self._given:
                return self._given[key]
        raise ValueError(f'{self.scores_file} has no scores of this image')

    def score_all(self, results: List[dict]) -> Dict[str, float]:
        """Find the best thresholds and print them."""
        known = sorted(set.intersection(*({*x['hits']} for x in results)))
        shape = (1 + len(self.iou_thresholds), len(self.thresholds))
        right = np.zeros(shape, dtype=np.int64)
        both = np.zeros((len(known), shape[1]), dtype=np.int64)
        for result in results:
            bits = np.unpackbits(result['right'], axis=-1, count=shape[1])
            right += bits
            for row, k in enumerate(known):
                both[row] += bits[0] * result['hits'][k]
        best = right.argmax(axis=1)
        values = right.max(axis=1) / len(results)
        metrics = {
            'MaxBoxAcc': percent(values[0]),
            'MaxBoxAccV2': percent(values[1:].mean()),
            'GT-known Loc': percent(values[0]),
        }
        for delta, value in zip(self.iou_thresholds, values[1:]):
            metrics[f'MaxBoxAccV2@{delta:g}'] = percent(value)
        for row, k in enumerate(known):
            share = both[row, best[0]] / len(results)
            metrics[f'Top-{k} Loc'] = percent(share)
        metrics['box_threshold'] = float(self.thresholds[best[0]])
        say(
            'boxes at the best threshold of each row (percent):',
            {
                'contours': ['largest', *['all'] * len(self.iou_thresholds)],
                'IoU': [f'{x:g}' for x in (KNOWN_IOU, *self.iou_thresholds)],
                'threshold': [f'{x:g}' for x in self.thresholds[best]],
                'right': values.tolist(),
            },
        )
        return metrics


@METRICS.register_module()
class PxAPMetric(ScoreMapMetric):
    """Pixels of score maps against masks, at every threshold.

    Reads the score map as ``MaxBoxAccMetric`` does, and the mask from
    ``gt_loc_mask`` (1 object, 0 background, 255 ignored) or, without it, from
    ``gt_sem_seg`` as the pixels of the class ``gt_label``; masks are brought
    to the map's size by nearest neighbour. Reports in percent, with a pixel
    predicted where its score is not below the threshold:

    - ``PxAP``: the area under precision and recall of the pixels of all
      images together (https://arxiv.org/abs/2007.04178).
    - ``pIoU``: the highest mean IoU of object pixels over the thresholds, by
      default the mean of the images' IoUs, else the IoU of the pixels of all
      images together.

    and ``pixel_threshold``, that of ``pIoU``.

    Args:
        average (str): 'image' or 'dataset', of ``pIoU``.
        options: As ``thresholds`` and ``size`` those of ``ScoreMapMetric``.
    """

    def __init__(
        self,
        thresholds: Optional[Sequence[float]] = None,
        size: Optional[int] = 224,
        average: str = 'image',
        **options: Any,
    ) -> None:
        super().__init__(thresholds, size, **options)
        if average not in AVERAGES:
            raise ValueError(
                f'average must be one of {AVERAGES}, got {average!r}'
            )
        self.average = average

    def image_result(self, sample: Mapping[str, Any]) -> np.ndarray:
        """Return the histograms of an image."""
        scores = self.score_map(sample)
        mask = object_mask(sample)
        if mask.shape != scores.shape:
            mask = cv2.resize(
                mask.astype(np.uint8),
                scores.shape[::-1],
                interpolation=cv2.INTER_NEAREST,
            )
        counts = pixel_histograms(scores, mask, self.thresholds)
        # Two bytes a count where maps have the published size.
        return counts.astype(np.min_scalar_type(counts.max()))

    def score_all(self, results: List[np.ndarray]) -> Dict[str, float]:
        """Sum the histograms and find the best threshold."""
        total = np.zeros(results[0].shape, dtype=np.int64)
        for counts in results:
            total += counts
        if not total[1].any():
            raise ValueError('no mask shows an object: PxAP is not defined')
        scores = pixel_scores(total)
        iou = scores['iou']
        if self.average == 'image':
            own = [pixel_scores(counts)['iou'] for counts in results]
            iou = mean_without_nan(np.stack(own, axis=-1))
        best = int(np.nanargmax(iou))
        threshold = float(self.thresholds[best])
        say(
            f'pixels, at the threshold {threshold:g} of the best IoU '
            f'{100 * iou[best]:.2f}: precision '
            f'{100 * scores["precision"][best]:.2f}, recall '
            f'{100 * scores["recall"][best]:.2f} (percent)'
        )
        return {
            'PxAP': percent(scores['PxAP']),
            'pIoU': percent(iou[best]),
            'pixel_threshold': threshold,
        }


def single_label(sample: Mapping[str, Any]) -> int:
    """Return the class to localise, of which there must be one."""
    labels = label_indices(sample, 'gt_label')
    if len(labels) != 1:
        raise ValueError(
            f'localisation needs one label, got {labels.tolist()}: wrap the '
            "data set in dict(type='SingleLabelEntries', source=...)"
        )
    return int(labels[0])


def _map_of_class(sample: Mapping[str, Any]) -> np.ndarray:
    maps, label = pixels(sample, 'pred_maps'), single_label(sample)
    index = np.flatnonzero(label_indices(sample, 'pred_map_labels') == label)
    if not len(index):
        raise ValueError(
            f'pred_maps has no map of the class {label}: the head must keep '
            "it, as keep='given' does"
        )
    plane: np.ndarray = maps[index[0]]
    return plane


def gt_boxes(sample: Mapping[str, Any], inside: bool = True) -> np.ndarray:
    """Return the boxes (G, 4) of a sample's class in pixels of the image.

    Objects marked difficult are left out, unless there are no others. With
    ``inside`` boxes must lie in the image, but for what rounding may add.

    Raises:
        ValueError: If there is no box, or one is broken.
    """
    instances = field(sample, 'gt_instances')
    boxes = array(instances['bboxes']).reshape(-1, 4)
    if 'labels' in instances:
        own = array(instances['labels']) == single_label(sample)
    else:
        own = np.ones(len(boxes), dtype=bool)
    if not own.any():
        raise ValueError(f'no box of the class {single_label(sample)}')
    if 'difficult' in instances:
        easy = own & ~array(instances['difficult']).astype(bool)
        own = easy if easy.any() else own
    check_boxes(boxes[own], original_size(sample), inside, ROUNDING)
    return boxes[own]


def original_size(sample: Mapping[str, Any]) -> Any:
    """Height and width of the original image."""
    height, width = field(sample, 'ori_shape')[:2]
    return int(height), int(width)


def object_mask(sample: Mapping[str, Any]) -> np.ndarray:
    """Return the mask (H, W) of a sample's class: 1, 0 others, 255 ignored.

    It is the field ``gt_loc_mask``, or of the masks of classes in
    ``gt_sem_seg`` that of its class.
    """
    if sample.get('gt_loc_mask') is not None:
        return pixels(sample, 'gt_loc_mask')
    mask = pixels(sample, 'gt_sem_seg')
    own = mask == single_label(sample) + 1
    return np.where(mask == IGNORE, IGNORE, own.astype(np.uint8))
