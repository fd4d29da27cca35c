"""How well score maps tell an object's pixels from the others.

As defined by "Evaluation for Weakly Supervised Object Localization"
(https://arxiv.org/abs/2007.04178); and how well saliency maps agree with what
is salient.

(H, W): a score map. T: thresholds. n: images.
"""

from __future__ import annotations

from typing import Dict, Sequence

import numpy as np

from mmwsl.evaluation.functional.boxes import Numbers, check_score_map
from mmwsl.pseudo_labels.labels import IGNORE

# What favours precision, the square of beta ("Frequency-tuned Salient Region
# Detection", CVPR 2009).
BETA_SQUARED = 0.3


def pixel_histograms(
    score_map: np.ndarray,
    mask: np.ndarray,
    thresholds: Numbers,
) -> np.ndarray:
    """Count an image's pixels by how many thresholds they reach.

    A pixel reaches a threshold that its score is not below. The counts add
    up over images and hold all that :func:`pixel_scores` needs.

    Args:
        score_map (np.ndarray): (H, W) in [0, 1].
        mask (np.ndarray): (H, W) of 0 background, 1 object and 255, pixels
            left out.
        thresholds (Sequence[float]): T ascending numbers from 0 to 1.

    Returns:
        np.ndarray: int64 (2, T + 2): row 0 background, row 1 object; column
        i are pixels that reach i thresholds, 1 being one after the last.
    """
    check_score_map(score_map)
    edges = np.append(np.asarray(thresholds, dtype=np.float64), 1.0)
    if not (edges[0] >= 0 and (np.diff(edges) >= 0).all()):
        raise ValueError('thresholds must ascend from 0 or more to at most 1')
    scores, mask = np.asarray(score_map), np.asarray(mask)
    if mask.shape != scores.shape:
        raise ValueError(
            f'score map {scores.shape} and mask {mask.shape} differ in size'
        )
    known = mask != IGNORE
    kinds = mask[known]
    if not np.isin(kinds, (0, 1)).all():
        raise ValueError('mask holds values other than 0, 1 and 255')
    width = len(edges) + 1
    reached = np.searchsorted(edges, scores[known], side='right')
    joint = reached + width * kinds.astype(np.intp)
    return np.bincount(joint, minlength=2 * width).reshape(2, width)


def pixel_scores(histograms: np.ndarray) -> Dict[str, np.ndarray]:
    """Precision, recall and IoU at every threshold, and PxAP.

    PxAP sums, from 1 down to the lowest threshold, precision times the step
    in recall. Histograms are (..., 2, T + 2), summed over the images to be
    taken together.

    Returns:
        dict: Fractions: ``precision``, ``recall``, ``iou`` (..., T), in the
        order of the thresholds, and ``PxAP`` (...,). NaN where nothing is
        predicted (precision), where there is no object (recall, PxAP), or
        both (IoU).
    """
    counts = np.asarray(histograms, dtype=np.float64)
    # Column i: the pixels that reach threshold i, then those that reach 1.
    reaching = counts[..., ::-1].cumsum(-1)[..., -2::-1]
    hits, predicted = reaching[..., 1, :], reaching.sum(-2)
    objects = counts[..., 1, :].sum(-1, keepdims=True)
    with np.errstate(divide='ignore', invalid='ignore'):
        precision, recall = hits / predicted, hits / objects
        iou = hits / (objects + predicted - hits)
    steps = recall - np.concatenate(
        [recall[..., 1:], np.zeros_like(objects)], axis=-1
    )
    area = (np.where(predicted > 0, precision, 0) * steps).sum(-1)
    values = dict(precision=precision, recall=recall, iou=iou)
    return {'PxAP': area, **{k: v[..., :-1] for k, v in values.items()}}


def saliency_scores(
    histograms: np.ndarray, thresholds: Sequence[float]
) -> Dict[str, float]:
    """Compute the F-measure and the IoU at their best thresholds.

    As usual in that literature the F-measure is that of the mean precision
    and the mean recall of all images, whose histograms are (n, 2, T + 2); an
    image in which nothing reaches a threshold has precision 0 there. The IoU
    is that of all pixels together.

    Returns:
        dict: ``maxF`` and ``IoU``, fractions, and their thresholds
        ``F_threshold`` and ``IoU_threshold``, of equal ones the lowest.
        Images without anything salient count in the IoU alone; with only
        such images all four are NaN.
    """
    objects = histograms[:, 1].sum(axis=1) > 0
    if not objects.any():
        names = ('maxF', 'F_threshold', 'IoU', 'IoU_threshold')
        return dict.fromkeys(names, float('nan'))
    single = pixel_scores(histograms[objects])
    precision = np.nan_to_num(single['precision']).mean(axis=0)
    recall = single['recall'].mean(axis=0)
    weighted = BETA_SQUARED * precision + recall
    f = (1 + BETA_SQUARED) * precision * recall
    f = f / np.where(weighted > 0, weighted, 1)
    iou = pixel_scores(histograms.sum(axis=0))['iou']
    best_f, best_iou = int(f.argmax()), int(iou.argmax())
    return dict(
        maxF=float(f[best_f]),
        F_threshold=float(thresholds[best_f]),
        IoU=float(iou[best_iou]),
        IoU_threshold=float(thresholds[best_iou]),
    )
