"""Scores of multi-label and single-label classification.

n: images. C: classes.
"""

from __future__ import annotations

from typing import Dict, Optional, Sequence, Tuple

import numpy as np

from mmwsl.utils.arrays import mean


def count_by_score(
    scores: np.ndarray, positive: np.ndarray
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the different scores, falling, and what reaches each.

    That is how many positives (n,) do and how many of all; equal scores
    enter together.
    """
    values, place, number = np.unique(
        -scores, return_inverse=True, return_counts=True
    )
    hits = np.zeros(len(values), dtype=np.int64)
    np.add.at(hits, place.reshape(-1), positive)
    return -values, hits.cumsum(), number.cumsum()


def average_precision(
    scores: np.ndarray,
    targets: np.ndarray,
    ignore: Optional[np.ndarray] = None,
) -> float:
    """Average precision of one class: the sum of precision x recall step.

    Images with equal scores enter together, so their order has no influence
    and the value equals scikit-learn's ``average_precision_score``.

    Args:
        scores (np.ndarray): (n,), any range, not NaN.
        targets (np.ndarray): (n,) true where the class is present.
        ignore (np.ndarray, optional): (n,) true for images left out.

    Returns:
        float: Value in [0, 1]; NaN if the class is in no image.
    """
    scores = np.asarray(scores, dtype=np.float64)
    positive = np.asarray(targets) > 0
    if scores.ndim != 1 or scores.shape != positive.shape:
        raise ValueError(
            f'scores {scores.shape} and targets {positive.shape} must both '
            'have shape (n,)'
        )
    if ignore is not None:
        keep = ~np.asarray(ignore, dtype=bool)
        scores, positive = scores[keep], positive[keep]
    if np.isnan(scores).any():
        raise ValueError('scores must not contain NaN')
    if not positive.any():
        return float('nan')
    _, hits, shown = count_by_score(scores, positive)
    steps = np.diff(hits, prepend=0) / hits[-1]
    return float(np.sum(steps * hits / shown))


def multilabel_scores(
    scores: np.ndarray,
    targets: np.ndarray,
    ignore: Optional[np.ndarray] = None,
    threshold: float = 0.5,
) -> Dict[str, np.ndarray]:
    """Per-class, macro and micro scores of a multi-label classifier.

    A class is predicted where its score is at least ``threshold``. A class
    that is in no image has NaN everywhere and is left out of the macro means;
    one that is in an image but never predicted has precision 0. The micro
    values count the decisions of all classes together. Arrays are those of
    :func:`average_precision`, (n, C) for all classes.

    Returns:
        dict: Fractions in [0, 1] or NaN: (C,) arrays ``ap``, ``precision``,
        ``recall``, ``f1``, ints ``num_images`` (C,) and scalars ``mAP``,
        ``mPrecision``, ``mRecall``, ``mF1`` (macro), ``micro_precision``,
        ``micro_recall``, ``micro_f1``.
    """
    scores = np.asarray(scores, dtype=np.float64)
    targets = np.asarray(targets) > 0
    if scores.ndim != 2 or scores.shape != targets.shape:
        raise ValueError(
            f'scores {scores.shape} and targets {targets.shape} must both '
            'have shape (n, C)'
        )
    skip = np.zeros_like(targets) if ignore is None else ignore.astype(bool)
    columns = zip(scores.T, targets.T, skip.T)
    ap = np.array([average_precision(*column) for column in columns])
    predicted = (scores >= threshold) & ~skip
    targets = targets & ~skip
    hits, shown, present = (
        x.sum(0) for x in (predicted & targets, predicted, targets)
    )
    result = _precision_recall(hits, shown, present)
    micro = _precision_recall(hits.sum(), shown.sum(), present.sum())
    result.update({f'micro_{name}': value for name, value in micro.items()})
    result.update(ap=ap, num_images=present)
    for name in ('AP', 'Precision', 'Recall', 'F1'):
        result[f'm{name}'] = mean(result[name.lower()][present > 0])
    return result


def _precision_recall(
    hits: np.ndarray, shown: np.ndarray, present: np.ndarray
) -> Dict[str, np.ndarray]:
    """Precision, recall and F1 of counts; NaN where nothing is present."""
    absent = np.where(present > 0, 1.0, np.nan)
    return {
        'precision': absent * hits / np.maximum(shown, 1),
        'recall': absent * hits / np.maximum(present, 1),
        'f1': absent * 2 * hits / np.maximum(shown + present, 1),
    }


def topk_hits(
    scores: np.ndarray, label: int, topk: Sequence[int]
) -> np.ndarray:
    """Whether a label is among the k highest scores (C,), for each k.

    Among equal scores the lower class index ranks first.
    """
    scores = np.asarray(scores)
    if not 0 <= label < len(scores):
        raise ValueError(f'label {label} is not in 0..{len(scores) - 1}')
    if np.isnan(scores).any():
        raise ValueError('scores must not contain NaN')
    better = np.sum(scores > scores[label])
    tied_before = np.sum(scores[:label] == scores[label])
    return better + tied_before < np.asarray(topk)
