"""Thresholds that fit a handful of labelled images.

n: images. C: classes. P: peaks of a map.
"""

from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from mmwsl.evaluation.functional.classification import count_by_score
from mmwsl.utils.arrays import spread


class PeakValues(NamedTuple):
    """The peaks of the map of a class that an image shows."""

    values: np.ndarray  # (P,)
    objects: int  # how many objects of the class there are


class PeakThresholds(NamedTuple):
    """Thresholds and how well the numbers of peaks fit the counts."""

    min_value: Optional[float]
    min_ratio: float
    per_class: Optional[int]
    error: float  # mean of (peaks - count)^2 / (count + 1)


def best_score_threshold(
    scores: np.ndarray, present: np.ndarray, ignore: np.ndarray
) -> Tuple[float, float]:
    """Find the threshold of class scores with the highest F1 in [0, 1].

    Decisions on all pairs (n, C) of image and class that are not ignored
    count together. Between the scores at which the best decisions change the
    middle is taken; of equally good thresholds the lowest.

    Raises:
        ValueError: If no pair is positive.
    """
    values, positive = scores[~ignore], present[~ignore]
    if not positive.any():
        raise ValueError('no image shows a class')
    values, hits, shown = count_by_score(values, positive)
    f1 = 2 * hits / (shown + positive.sum())
    best = len(f1) - 1 - int(f1[::-1].argmax())
    below = values[best + 1] if best + 1 < len(values) else 0.0
    return float((values[best] + below) / 2), float(f1[best])


def fit_peak_thresholds(
    maps: Sequence[PeakValues],
    min_values: Sequence[Optional[float]],
    min_ratios: Sequence[float],
    limits: Sequence[Optional[int]] = (None,),
) -> PeakThresholds:
    """Find thresholds whose numbers of peaks fit the counts.

    A peak is kept if its value is at least ``min_value`` and at least
    ``min_ratio`` times the map's highest peak, and if it is among the
    ``per_class`` highest of its map.

    Args:
        maps (Sequence[PeakValues]): Present classes of labelled images.
        min_values (Sequence[float | None]): Candidates; None is none.
        min_ratios (Sequence[float]): Candidates.
        limits (Sequence[int | None]): Candidates of ``per_class``.

    Returns:
        PeakThresholds: The ones with the lowest error; of equal ones the
        first limit, then the first ratio and then the first value.
    """
    if not all(len(x) for x in (maps, min_values, min_ratios, limits)):
        raise ValueError('no peaks or no thresholds to choose from')
    counts = np.array([x.objects for x in maps])
    tried: List[Tuple[Optional[float], float, np.ndarray]] = []
    for ratio in min_ratios:
        # The values of peaks that pass the ratio.
        passed = [
            x.values[x.values >= ratio * x.values.max(initial=0)] for x in maps
        ]
        for value in min_values:
            low = -np.inf if value is None else value
            numbers = np.array([(x >= low).sum() for x in passed])
            tried.append((value, float(ratio), numbers))
    best = PeakThresholds(None, 0.0, None, np.inf)
    for limit in limits:
        for value, ratio, numbers in tried:
            kept = numbers if limit is None else numbers.clip(max=limit)
            error = float(np.mean((kept - counts) ** 2 / (counts + 1)))
            if error < best.error:
                best = PeakThresholds(value, ratio, limit, error)
    return best


def value_candidates(
    maps: Sequence[PeakValues], number: int = 50
) -> List[Optional[float]]:
    """Choose absolute thresholds to try: None, then ascending values.

    The values, as many at most, lie between those of all peaks.
    """
    values = np.unique(np.concatenate([x.values for x in maps]))
    middles = (values[1:] + values[:-1]) / 2
    return [None, *middles[spread(len(middles), number)].tolist()]
