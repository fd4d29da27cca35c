"""Choosing the best few of many candidates.

S: number of regions, K: number of candidates, G: number of guesses.
"""

from typing import Dict, List, Mapping, Tuple

import numpy as np

from mmwsl.proposals.region_graph import RegionGraph, affinities

# How much more likely (as a logarithm) a candidate is an object for each
# standard deviation of a property above the image's mean.
PRIOR = dict(rim=-0.5, step=1.0, cut=-0.5, area=-0.5, roughness=-0.5)
# How many of the most likely candidates are taken as guesses of objects.
_MAX_GUESSES = 800
# How many gains are brought up to date at once.
_REFRESH = 16


def object_prior(
    graph: RegionGraph, sets: np.ndarray, weights: Mapping[str, float]
) -> np.ndarray:
    """Guess how likely candidates are objects, from simple properties.

    The probability is proportional to exp(sum of weight times property), each
    property standardised over the candidates.

    Args:
        graph (RegionGraph): S regions.
        sets (np.ndarray): bool (K, S).
        weights (Mapping[str, float]): Those of :func:`set_properties`.

    Returns:
        np.ndarray: float32 (K,), sums to 1.
    """
    properties = set_properties(graph, sets)
    logit = np.zeros(len(sets))
    for name, weight in weights.items():
        values = properties[name].astype(np.float64)
        spread = max(float(values.std()), 1e-6)
        logit += weight * (values - values.mean()) / spread
    # Far out everything is equally (un)likely.
    prior = np.exp(np.clip(logit, -12, 12))
    return (prior / prior.sum()).astype(np.float32)


def set_properties(
    graph: RegionGraph, sets: np.ndarray
) -> Dict[str, np.ndarray]:
    """Measure candidates.

    Returns:
        dict: Arrays (K,): ``rim``, the share of the outline at the border of
        the image; ``step``, the mean edge along the rest of the outline;
        ``cut``, the logarithm of the normalised cut; ``area``, the logarithm
        of the share of the image; ``roughness``, the logarithm of the whole
        outline over the root of the area.
    """
    members = sets.astype(np.float32)
    area = members @ graph.area
    outline, _ = _cut(graph.length, members)
    rim = members @ graph.rim
    step, _ = _cut(graph.step, members)
    cut, inside = _cut(affinities(graph), members)
    outside = affinities(graph).sum() - 2 * cut - inside
    return dict(
        rim=rim / np.maximum(outline + rim, 1),
        step=step / np.maximum(outline, 1),
        cut=np.log(cut / np.maximum(np.minimum(inside, outside), 1) + 0.01),
        area=np.log(area / graph.area.sum()),
        roughness=np.log((outline + rim) / np.sqrt(area)),
    )


def _cut(
    matrix: np.ndarray, members: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    """Sum a matrix (S, S) over the outline of each set and inside it."""
    inside = ((members @ matrix) * members).sum(axis=1)
    return members @ matrix.sum(axis=1) - inside, inside


def set_ious(
    graph: RegionGraph, sets: np.ndarray, others: np.ndarray
) -> np.ndarray:
    """Intersection over union of sets of regions, float32 (K, G).

    Args:
        graph (RegionGraph): S regions.
        sets (np.ndarray): bool (K, S).
        others (np.ndarray): bool (G, S).
    """
    one, other = sets.astype(np.float32), others.astype(np.float32)
    common = (one * graph.area) @ other.T
    union = (one @ graph.area)[:, None] + other @ graph.area - common
    iou: np.ndarray = common / np.maximum(union, 1)
    return iou


def choose(
    graph: RegionGraph, sets: np.ndarray, prior: np.ndarray, number: int
) -> Tuple[np.ndarray, np.ndarray]:
    """Choose candidates that overlap well with whatever the object is.

    The most likely candidates are taken as guesses of where an object is.
    Then one candidate after the other is chosen, each time the one that adds
    most to the expected best overlap, ``sum_g prior_g * max_k IoU(k, g)``:
    likely candidates come first, and none that says the same as another.

    Args:
        graph (RegionGraph): S regions.
        sets (np.ndarray): bool (K, S).
        prior (np.ndarray): float32 (K,).
        number (int): How many to choose at most.

    Returns:
        tuple[np.ndarray]: Indices of the chosen ones, int64, best first; and
        what each adds to the expected best overlap, which is in [0, 1] and
        never more than what the one before adds.
    """
    guesses = np.argsort(-prior, kind='stable')[:_MAX_GUESSES]
    ious = set_ious(graph, sets, sets[guesses])
    chance = prior[guesses] / prior[guesses].sum()
    best = np.zeros(len(guesses), dtype=np.float32)
    gain = ious @ chance
    chosen: List[int] = []
    gains: List[float] = []
    while len(chosen) < min(number, len(sets)):
        # Gains only fall, so the largest one counts as soon as it is known
        # to be up to date; most never have to be computed again.
        current = np.zeros(len(sets), dtype=bool)
        while not current[(top := int(gain.argmax()))]:
            stale = np.argpartition(-gain, min(_REFRESH, len(gain) - 1))
            stale = np.append(stale[:_REFRESH], top)
            gain[stale] = np.maximum(ious[stale] - best, 0) @ chance
            gain[chosen] = -1
            current[stale] = True
        if gain[top] <= 0:
            break
        chosen.append(top)
        gains.append(float(gain[top]))
        best = np.maximum(best, ious[top])
        gain[top] = -1
    # Nothing adds anything any more: likely ones first.
    likely = np.argsort(-prior, kind='stable')
    rest = likely[~np.isin(likely, chosen)]
    missing = min(number, len(sets)) - len(chosen)
    chosen += rest[:missing].tolist()
    gains += [0.0] * missing
    return np.array(chosen, dtype=np.int64), np.array(gains, dtype=np.float32)
