"""How well proposals cover the objects of a data set.

K: proposals of an image, n: objects of an image, m: objects of all images,
(H, W): size of the image.
"""

from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from mmwsl.structures import Proposals
from mmwsl.utils.arrays import mask_iou
from mmwsl.utils.tables import format_table


def best_overlaps(
    proposals: Proposals,
    masks: np.ndarray,
    numbers: Sequence[int],
    valid: Optional[np.ndarray] = None,
) -> np.ndarray:
    """Find the best overlap of each object with the first proposals.

    Args:
        proposals: K masks, best first.
        masks: bool (n, H, W), the objects.
        numbers: How many proposals to look at, ascending.
        valid: bool (H, W), pixels that count.

    Returns:
        float64 (n, numbers), the largest IoU with the first ``numbers[i]``
        proposals; 0 without proposals.
    """
    kept = np.ones(masks.shape[1:], bool) if valid is None else valid
    best = np.zeros((max(numbers) + 1, len(masks)))
    first = proposals.masks[: max(numbers)]
    best[1 : len(first) + 1] = mask_iou(first & kept, masks & kept)
    # Row i is the best of the first i proposals.
    running = np.maximum.accumulate(best, axis=0)
    return running[list(numbers)].T


def proposal_scores(
    overlaps: np.ndarray,
    labels: np.ndarray,
    numbers: Sequence[int],
    classes: Sequence[str],
    thresholds: Sequence[float] = (0.5, 0.7),
) -> Dict[str, Any]:
    """Average over the objects of a data set.

    Args:
        overlaps: (m, numbers), see :func:`best_overlaps`.
        labels: Integers (m,), class of each object.
        numbers: How many proposals were looked at.
        classes: Names of the classes.
        thresholds: IoU at which an object is found.

    Returns:
        In percent ``ABO@n``, the mean best overlap of all objects,
        ``recall@t@n``, the share of objects found, and ``MABO@n``, the mean
        over classes of their ABO, which is the upper bound of that metric
        for anything that picks among the proposals; ``num_objects``; and
        ``classes``, the same per class that has objects.
    """
    if not len(overlaps):
        raise ValueError('no object to compare proposals with')
    scores = _averages(overlaps, numbers, thresholds)
    scores['classes'] = {
        classes[label]: _averages(
            overlaps[labels == label], numbers, thresholds
        )
        for label in np.unique(labels)
    }
    for number in numbers:
        each = [s[f'ABO@{number}'] for s in scores['classes'].values()]
        scores[f'MABO@{number}'] = float(np.mean(each))
    return scores


def _averages(
    overlaps: np.ndarray, numbers: Sequence[int], thresholds: Sequence[float]
) -> Dict[str, Any]:
    scores: Dict[str, Any] = dict(num_objects=len(overlaps))
    for number, column in zip(numbers, overlaps.T):
        scores[f'ABO@{number}'] = 100 * float(column.mean())
        for threshold in thresholds:
            found = float((column >= threshold).mean())
            scores[f'recall@{threshold:g}@{number}'] = 100 * found
    return scores


def quality_table(scores: Dict[str, Any], numbers: Sequence[int]) -> str:
    """Lay out what :func:`proposal_scores` returns as a text table."""
    keys = [
        key
        for number in numbers
        for key in scores
        if key.endswith(f'@{number}') and not key.startswith('MABO')
    ]
    rows: List[List[Any]] = []
    for name, values in [*scores['classes'].items(), ('all objects', scores)]:
        # The table shows fractions in percent.
        shares = [values[key] / 100 for key in keys]
        rows.append([name, values['num_objects'], *shares])
    return format_table(['class', 'objects', *keys], rows)
