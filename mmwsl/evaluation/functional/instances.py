"""Average precision and best overlap of instance masks, and a baseline.

Also how much of a response map lies on its object, the measure of PRM
(https://arxiv.org/abs/1804.00880), section 4.

M: predicted instances of an image. n: its true ones. T: overlap thresholds.
C: classes. K: maps of an image. P: its response maps. (H, W): its size in
pixels.
"""

from typing import Any, Dict, Iterable, NamedTuple, Sequence

import cv2
import numpy as np

from mmwsl.evaluation.functional.classification import count_by_score
from mmwsl.utils.arrays import mean

# What became of a prediction.
FALSE, TRUE, IGNORED = 0, 1, -1
# How the object of a response map is found, see assign_maps.
MATCHES = ('peak', 'best')


class ImageMatch(NamedTuple):
    """What the scores of a data set need to know of one image."""

    labels: np.ndarray  # (M,) predicted classes
    scores: np.ndarray  # (M,)
    outcome: np.ndarray  # int8 (T, M): TRUE, FALSE or IGNORED
    gt_labels: np.ndarray  # (n',) classes of the instances that count
    best: np.ndarray  # (n',) their largest overlap with their class


def match_instances(
    ious: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    gt_labels: np.ndarray,
    gt_ignored: np.ndarray,
    thresholds: Sequence[float],
) -> ImageMatch:
    """Match the predictions of one image, as PASCAL VOC does.

    By falling score (of equal ones the first) every prediction turns to the
    true instance of its class that it overlaps most (of equal ones the
    first). If that overlap reaches the threshold, the prediction is true if
    it is the first one there, false if it is a later one, and ignored if the
    instance is ignored. If not, it is false.

    Args:
        ious (np.ndarray): (M, n) overlaps.
        labels (np.ndarray): (M,) predicted classes.
        scores (np.ndarray): (M,).
        gt_labels (np.ndarray): (n,) true classes.
        gt_ignored (np.ndarray): (n,) true for those that do not count.
        thresholds (Sequence[float]): T overlaps from which masks match.
    """
    shape = (len(labels), len(gt_labels))
    if ious.shape != shape or len(scores) != shape[0]:
        raise ValueError(
            f'overlaps {ious.shape} and scores {scores.shape} do not fit '
            f'{shape[0]} predicted and {shape[1]} true instances'
        )
    if np.isnan(scores).any():
        raise ValueError('scores of instances must not be NaN')
    ignored = np.asarray(gt_ignored, dtype=bool)
    ious = np.where(labels[:, None] == gt_labels, ious, -1.0)
    outcome = np.zeros((len(thresholds), shape[0]), dtype=np.int8)
    for row, threshold in zip(outcome, thresholds):
        taken = np.zeros(shape[1], dtype=bool)
        for index in np.argsort(-scores, kind='stable') if shape[1] else ():
            target = int(ious[index].argmax())
            if ious[index, target] < threshold:
                continue
            if ignored[target]:
                row[index] = IGNORED
            elif not taken[target]:
                row[index] = TRUE
                taken[target] = True
    best = ious.max(axis=0, initial=0.0)
    return ImageMatch(
        labels, scores, outcome, gt_labels[~ignored], best[~ignored]
    )


def instance_scores(
    matches: Iterable[ImageMatch], num_classes: int
) -> Dict[str, np.ndarray]:
    """Compute the scores of a data set of C classes.

    AP is the area under the precision-recall curve with precision made
    falling. Predictions of equal score enter together, so that their order
    has no influence. ABO is the mean over the true instances of a class of
    their largest overlap with a prediction of that class, whatever its
    score.

    Returns:
        dict: ``ap`` (T, C) and ``abo`` (C,) in [0, 1], NaN for classes
        without instances; their means over the other classes ``mAP`` (T,)
        and ``mABO``; ``num_gt`` and ``num_pred`` int (C,).
    """
    matches = list(matches)
    if not matches:
        raise ValueError('no image to score')
    labels, scores, outcomes, gt_labels, overlaps = zip(*matches)
    labels, scores, outcome, gt_label, best = (
        np.concatenate(x, axis=-1)
        for x in (labels, scores, outcomes, gt_labels, overlaps)
    )
    num_gt = np.bincount(gt_label, minlength=num_classes)
    ap = np.full((len(outcome), num_classes), np.nan)
    abo = np.full(num_classes, np.nan)
    for c in np.flatnonzero(num_gt):
        own = labels == c
        abo[c] = best[gt_label == c].mean()
        for t, row in enumerate(outcome):
            ap[t, c] = _area(scores[own], row[own], num_gt[c])
    present = num_gt > 0
    return dict(
        ap=ap,
        abo=abo,
        mAP=mean(ap[:, present]),
        mABO=mean(abo[present]),
        num_gt=num_gt,
        num_pred=np.bincount(labels, minlength=num_classes),
    )


def _area(scores: np.ndarray, outcome: np.ndarray, positives: int) -> float:
    """Area under the curve of one class at one threshold."""
    counted = outcome != IGNORED
    found = outcome[counted] == TRUE
    _, hits, shown = count_by_score(scores[counted], found)
    precision = np.maximum.accumulate((hits / shown)[::-1])[::-1]
    steps = np.diff(hits, prepend=0) / positives
    return float(np.sum(steps * precision))


def map_parts(
    maps: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    threshold: float,
) -> Dict[str, np.ndarray]:
    """Take the connected parts of thresholded class maps as instances.

    Pixels that touch at a corner are connected. The score of a part is that
    of its class times the largest value of the map inside.

    Args:
        maps (np.ndarray): (K, H, W) in [0, 1].
        labels (np.ndarray): (K,) classes of the maps.
        scores (np.ndarray): (C,) of the classes.
        threshold (float): Parts are above it.

    Returns:
        dict: ``labels`` int64 (M,), ``scores`` (M,) and ``masks`` bool (M, H,
        W), map by map.
    """
    found_labels, found_scores, masks = [], [], []
    for plane, label in zip(maps, labels):
        above = (plane > threshold).astype(np.uint8)
        count, parts = cv2.connectedComponents(above)
        for number in range(1, count):
            mask = parts == number
            masks.append(mask)
            found_labels.append(label)
            found_scores.append(scores[label] * plane[mask].max())
    return dict(
        labels=np.array(found_labels, dtype=np.int64),
        scores=np.array(found_scores, dtype=np.float64),
        masks=np.array(masks, dtype=bool).reshape(-1, *maps.shape[1:]),
    )


def map_quality(
    maps: np.ndarray, masks: np.ndarray, valid: Any = None
) -> np.ndarray:
    """Compute ``sum(R * G) / sum(R)`` for all pairs, over valid pixels (H, W).

    Of maps R (P, H, W) >= 0 and masks G bool (n, H, W): (P, n) in [0, 1], NaN
    for maps whose sum is 0.
    """
    if maps.shape[1:] != masks.shape[1:]:
        raise ValueError(
            f'response maps {maps.shape} and masks {masks.shape} differ in '
            'size'
        )
    maps = np.asarray(maps, dtype=np.float64)
    if maps.size and not maps.min() >= 0:
        raise ValueError('response maps hold NaN or negative values')
    if valid is not None:
        maps = maps * valid
    total = maps.sum(axis=(1, 2))
    inside = np.tensordot(maps, masks.astype(np.float64), ([1, 2], [1, 2]))
    quality: np.ndarray = inside / np.where(total > 0, total, np.nan)[:, None]
    return quality


def assign_maps(
    quality: np.ndarray,
    labels: np.ndarray,
    points: np.ndarray,
    masks: np.ndarray,
    gt_labels: np.ndarray,
    match: str = 'peak',
) -> np.ndarray:
    """Say of which instance each response map is: int64 (P,), -1 for none.

    With ``match='peak'`` it is the instance of the map's class in which its
    peak lies, one of the points (P, 2), x and y in pixels; with 'best' the
    one of its class with the best quality (P, n).
    """
    allowed = labels[:, None] == gt_labels
    if match == 'peak':
        height, width = masks.shape[1:]
        columns, rows = np.floor(points.T).astype(np.int64)
        rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
        allowed = allowed & masks[:, rows, columns].T
    value = np.where(allowed, np.nan_to_num(quality), -1.0)
    if value.shape[1] == 0:
        return np.full(len(labels), -1, dtype=np.int64)
    return np.where(value.max(axis=1) >= 0, value.argmax(axis=1), -1)
