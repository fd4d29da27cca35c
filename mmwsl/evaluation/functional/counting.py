"""Errors of predicted object counts.

Defined in LC (https://arxiv.org/abs/1903.02494) and, before, by Chattopadhyay
et al. (https://arxiv.org/abs/1604.03505).

n: images. C: classes. Predicted counts are not necessarily whole.
"""

from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from mmwsl.utils.arrays import mean

# Class-wise value of each of the four metrics.
CLASS_KEYS = {
    'mRMSE': 'RMSE',
    'mRMSE-nz': 'RMSE-nz',
    'm-relRMSE': 'relRMSE',
    'm-relRMSE-nz': 'relRMSE-nz',
}


def count_errors(pred: np.ndarray, gt: np.ndarray) -> Dict[str, float]:
    """Compute mRMSE, m-relRMSE and both over non-zero counts.

    For a class ``RMSE = sqrt(mean((p - t)^2))`` over images, ``relRMSE``
    divides the squared error by t + 1, and -nz takes the images with t > 0
    alone. The metrics are means over classes; a class that no image shows
    has no -nz value and is left out of these means.

    Args:
        pred (np.ndarray): (n, C) predicted counts p.
        gt (np.ndarray): (n, C) true counts t.

    Returns:
        dict: ``mRMSE``, ``mRMSE-nz``, ``m-relRMSE``, ``m-relRMSE-nz``. NaN
        without images or classes, -nz also if no image shows an object.

    Raises:
        ValueError: If shapes differ, a prediction is not finite, or a true
            count is negative or not whole.
    """
    errors = class_count_errors(pred, gt)
    return {
        key: float(mean(errors[name][~np.isnan(errors[name])]))
        for key, name in CLASS_KEYS.items()
    }


def class_count_errors(
    pred: np.ndarray, gt: np.ndarray
) -> Dict[str, np.ndarray]:
    """Compute the errors of each class (C,), named as in ``CLASS_KEYS``.

    NaN where no image counts.
    """
    pred, gt = _checked(pred, gt)
    squared = (pred - gt) ** 2
    result = {}
    for suffix, chosen in (('', np.ones_like(gt, bool)), ('-nz', gt > 0)):
        # 0 / 0 is the NaN of a class without images.
        number = np.where(chosen.any(axis=0), chosen.sum(axis=0), np.nan)
        errors = {'RMSE': squared, 'relRMSE': squared / (gt + 1)}
        for name, values in errors.items():
            total = np.where(chosen, values, 0).sum(axis=0)
            result[name + suffix] = np.sqrt(total / number)
    return result


def count_correlation(pred: np.ndarray, gt: np.ndarray) -> np.ndarray:
    """Compute Pearson's correlation (C,), NaN where either does not vary."""
    pred, gt = (x - x.mean(axis=0) for x in _checked(pred, gt))
    norm = np.sqrt((pred**2).sum(axis=0) * (gt**2).sum(axis=0))
    # 0 / 0 is NaN; rounding must not make up a deviation.
    norm[norm < 1e-12] = np.nan
    result: np.ndarray = (pred * gt).sum(axis=0) / norm
    return result


class CountGroup(NamedTuple):
    """Errors over the pairs of image and class with counts in a range."""

    name: str  # '0', '1-4' or '5+'
    pairs: int
    truth: float  # mean true count
    bias: float  # mean of prediction minus truth
    rmse: float


def count_breakdown(
    pred: np.ndarray, gt: np.ndarray, groups: Sequence[Tuple[int, Any]]
) -> List[CountGroup]:
    """Split the errors by the true count, over all classes together.

    A group is its lowest and its highest true count, None for no highest; an
    empty one has NaN.
    """
    pred, gt = _checked(pred, gt)
    result = []
    for low, high in groups:
        chosen = (gt >= low) & (gt <= (np.inf if high is None else high))
        error = pred[chosen] - gt[chosen]
        last = '+' if high is None else f'-{high}' if high > low else ''
        truth, bias, square = (
            float(mean(x)) for x in (gt[chosen], error, error**2)
        )
        result.append(
            CountGroup(f'{low}{last}', len(error), truth, bias, square**0.5)
        )
    return result


def simple_predictors(gt: np.ndarray, cap: int = 5) -> Dict[str, np.ndarray]:
    """Make the predictions (n, C) that others are compared with.

    ``always-0`` and ``always-1`` for every class of every image, and
    ``capped``, the truth but for counts above ``cap``, which become ``cap``.
    """
    gt = np.asarray(gt, dtype=np.float64)
    return {
        'always-0': np.zeros_like(gt),
        'always-1': np.ones_like(gt),
        'capped': np.minimum(gt, cap),
    }


def _checked(pred: Any, gt: Any) -> Tuple[np.ndarray, np.ndarray]:
    """Return counts (n, C) in double precision, if they are some."""
    pred = np.asarray(pred, dtype=np.float64)
    gt = np.asarray(gt, dtype=np.float64)
    if pred.ndim != 2 or pred.shape != gt.shape:
        raise ValueError(
            f'predicted counts {pred.shape} and true counts {gt.shape} must '
            'both have shape (n, C)'
        )
    for row in np.flatnonzero(~np.isfinite(pred).all(axis=1))[:1]:
        raise ValueError(
            f'image {row}: predicted counts {pred[row].tolist()} hold NaN or '
            'infinity'
        )
    for row in np.flatnonzero(~is_count(gt).all(axis=1))[:1]:
        raise ValueError(
            f'image {row}: true counts {gt[row].tolist()} are not all whole '
            'numbers >= 0'
        )
    return pred, gt


def is_count(values: np.ndarray) -> np.ndarray:
    """Whether numbers are whole and not negative."""
    whole: np.ndarray = (values >= 0) & (np.floor(values) == values)
    return whole & np.isfinite(values)
