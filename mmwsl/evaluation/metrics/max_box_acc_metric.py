"""Localisation by boxes: MaxBoxAcc, GT-known, Top-1 and Top-5 Loc."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmwsl.evaluation.files import ClassScores, read_class_scores
from mmwsl.evaluation.functional import (
    THRESHOLDS,
    best_ious,
    format_table,
    percent,
    resize_boxes,
    sweep_boxes,
    topk_hits,
)
from mmwsl.evaluation.metrics.fields import (
    array,
    field,
    image_name,
    naming_image,
)
from mmwsl.evaluation.metrics.score_maps import (
    check_label,
    gt_boxes,
    original_size,
    score_map,
    single_label,
)
from mmwsl.registry import METRICS

# The overlap that MaxBoxAcc and the Loc scores ask for.
KNOWN_IOU = 0.5


@METRICS.register_module()
class MaxBoxAccMetric(BaseMetric):
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
        thresholds (Sequence[float], optional): Thresholds of the maps; None
            for 0 to 0.999 in steps of 0.001, as published.
        size (int, optional): Height and width of the score maps; None keeps
            theirs.
        topk (Sequence[int]): The values of k; those above the number of
            classes are left out.
        scores_file (str, optional): Class scores of another classifier,
            taken instead of ``pred_score``: .csv or .npz, see
            :func:`mmwsl.evaluation.files.read_class_scores`. An entry
            ``a/cat`` that it lacks takes those of the image ``a``.
        outside_boxes (str): 'error', or 'keep' for sets that are known to
            have boxes over the border of the image.
        collect_device (str): 'cpu' or 'gpu', see mmengine.
        prefix (str, optional): Put before the keys, as ``prefix/MaxBoxAcc``.
        collect_dir (str, optional): See mmengine.
    """

    # Without one mmengine warns; the empty prefix leaves the keys alone.
    default_prefix = ''

    def __init__(
        self,
        iou_thresholds: Sequence[float] = (0.3, 0.5, 0.7),
        thresholds: Optional[Sequence[float]] = None,
        size: Optional[int] = 224,
        topk: Sequence[int] = (1, 5),
        scores_file: Optional[str] = None,
        outside_boxes: str = 'error',
        collect_device: str = 'cpu',
        prefix: Optional[str] = None,
        collect_dir: Optional[str] = None,
    ) -> None:
        super().__init__(collect_device, prefix, collect_dir)
        if not iou_thresholds:
            raise ValueError('iou_thresholds must not be empty')
        if any(k < 1 for k in topk):
            raise ValueError(f'topk must list positive numbers, got {topk}')
        self.iou_thresholds = tuple(iou_thresholds)
        if outside_boxes not in ('error', 'keep'):
            raise ValueError(
                "outside_boxes must be 'error' or 'keep', got "
                f'{outside_boxes!r}'
            )
        self.thresholds = np.asarray(
            THRESHOLDS if thresholds is None else thresholds, dtype=np.float64
        )
        if not self.thresholds.size:
            raise ValueError('thresholds must not be empty')
        self.size = size
        self.topk = tuple(topk)
        self.scores_file = scores_file
        self.outside_boxes = outside_boxes
        self._given: Optional[Dict[str, np.ndarray]] = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep for each image at which thresholds it is right."""
        for sample in data_samples:
            with naming_image(sample):
                self.results.append(self._result(sample))

    def _result(self, sample: Mapping[str, Any]) -> Dict[str, Any]:
        check_label(sample, self.dataset_meta)
        scores = score_map(sample, self.size)
        boxes = gt_boxes(sample, self.outside_boxes == 'error')
        truth = resize_boxes(boxes, original_size(sample), scores.shape)
        sweep = sweep_boxes(scores, self.thresholds)
        largest, every = best_ious(sweep, truth)
        right = [every >= delta for delta in self.iou_thresholds]
        # One bit for each threshold and row.
        bits = np.packbits([largest >= KNOWN_IOU, *right], axis=-1)
        return {'right': bits, 'hits': self._hits(sample)}

    def _hits(self, sample: Mapping[str, Any]) -> Dict[int, bool]:
        """Whether the label is among the first k, for the k that exist."""
        if self.scores_file is not None:
            scores = self._given_scores(sample)
        elif sample.get('pred_score') is not None:
            scores = array(field(sample, 'pred_score'))
        else:
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

    def _given_scores(self, sample: Mapping[str, Any]) -> np.ndarray:
        if self._given is None:
            self._given = self._read_scores(str(self.scores_file))
        name = image_name(sample)
        for key in (name, name.rpartition('/')[0]):
            if key in self._given:
                return self._given[key]
        raise ValueError(f'{self.scores_file} has no scores of this image')

    def _read_scores(self, path: str) -> Dict[str, np.ndarray]:
        """Scores of each image id in the order of the dataset's classes."""
        given: ClassScores = read_class_scores(path)
        classes = list((self.dataset_meta or {}).get('classes') or ())
        rows = given.scores
        if classes and rows.shape[1] != len(classes):
            raise ValueError(
                f'{path}: {rows.shape[1]} scores for each image, but there '
                f'are {len(classes)} classes'
            )
        if classes and given.classes:
            unknown = sorted(set(given.classes) - set(classes))
            if unknown:
                raise ValueError(f'{path}: unknown class names {unknown}')
            rows = rows[:, [given.classes.index(name) for name in classes]]
        return dict(zip(given.ids, rows))

    def compute_metrics(self, results: List[dict]) -> Dict[str, float]:
        """Find the best thresholds and print them."""
        if not results:
            raise ValueError('no image to score: the dataset is empty')
        known = sorted(set.intersection(*(set(x['hits']) for x in results)))
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
        self._print(best, values)
        return metrics

    def _print(self, best: np.ndarray, values: np.ndarray) -> None:
        deltas = (KNOWN_IOU, *self.iou_thresholds)
        contours = ('largest', *['all'] * len(self.iou_thresholds))
        rows = [
            (kind, f'{delta:g}', f'{self.thresholds[index]:g}', float(value))
            for kind, delta, index, value in zip(
                contours, deltas, best, values
            )
        ]
        header = ('contours', 'IoU', 'threshold', 'right')
        print_log(
            'boxes at the best threshold of each row (percent):\n'
            + format_table(header, rows),
            logger='current',
        )
