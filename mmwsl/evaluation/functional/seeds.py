"""Quality of class maps against masks, over a sweep of background scores.

Shape shorthand: C: foreground classes, K: maps of one image, T: thresholds.
Masks hold 0 for background and c + 1 for class c.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, Optional, Tuple

import numpy as np

# Interpolated maps and half precision overshoot 1 by one rounding step.
_TOLERANCE = 1e-3

SeedHistogram = Dict[str, Any]


def seed_histograms(
    maps: np.ndarray,
    labels: np.ndarray,
    gt: np.ndarray,
    num_classes: int,
    thresholds: Optional[np.ndarray] = None,
    ignore_index: int = 255,
    saliency: Optional[np.ndarray] = None,
) -> SeedHistogram:
    """Counts of one image from which every threshold's scores follow.

    With a background score t the prediction is ``argmax([t, *maps])``, ties
    to the first. A pixel is therefore foreground as long as t is below its
    highest map: the number of such thresholds is the pixel's bin, and one
    histogram over (winning class, bin) holds the results of all thresholds.
    Values are compared in the maps' precision, as if a map of t were put in
    front of them.

    Args:
        maps (np.ndarray): (K, H, W) in [0, 1]; K may be 0.
        labels (np.ndarray): (K,) distinct class indices of the maps.
        gt (np.ndarray): (H, W) mask of integers.
        num_classes (int): C.
        thresholds (np.ndarray, optional): (T,) background scores, ascending.
        ignore_index (int): Mask value of pixels left out.
        saliency (np.ndarray, optional): (H, W) in [0, 1]; the background
            score is then ``1 - saliency`` and there is one result (T = 1).

    Returns:
        dict: Small integer arrays, additive over images: ``classes`` (k,)
        mask values that win a pixel, their histograms ``pred`` and ``hit``
        (k, T + 1), ``background`` (T + 1,) of the mask's background,
        ``gt_classes`` (g,) and ``gt_pixels`` (g,); and ``num_classes``.

    Raises:
        ValueError: If shapes, labels, mask values or ranges do not fit or
            not exactly one of ``thresholds`` and ``saliency`` is given.
    """
    maps, labels, gt = np.asarray(maps), np.asarray(labels), np.asarray(gt)
    check_maps(maps, labels, gt.shape, num_classes)
    if (thresholds is None) == (saliency is None):
        raise ValueError('give either thresholds or saliency')
    winner, best = _winners(maps, labels)
    if saliency is not None:
        if np.shape(saliency) != gt.shape:
            raise ValueError(
                f'saliency {np.shape(saliency)} and mask {gt.shape} differ'
            )
        _check_range('saliency', np.asarray(saliency))
        bins = (best > 1 - np.asarray(saliency, best.dtype)).astype(np.intp)
        return _histograms(winner, bins, gt, num_classes, 1, ignore_index)
    thresholds = np.asarray(thresholds, dtype=np.float64)
    if thresholds.ndim != 1 or not (np.diff(thresholds) >= 0).all():
        raise ValueError('thresholds must be a list in ascending order')
    bins = np.searchsorted(thresholds.astype(best.dtype), best)
    return _histograms(
        winner, bins, gt, num_classes, len(thresholds), ignore_index
    )


def label_map_histograms(
    pred: np.ndarray, gt: np.ndarray, num_classes: int, ignore_index: int = 255
) -> SeedHistogram:
    """The same counts (T = 1) for a finished label map of one image.

    Args:
        pred (np.ndarray): (H, W) label map; pixels of ``ignore_index`` are
            left out as those of the mask are.
        gt (np.ndarray): (H, W) mask.
        num_classes (int): C.
        ignore_index (int): Value of pixels left out.

    Returns:
        dict: As from :func:`seed_histograms`.

    Raises:
        ValueError: If the shapes differ or a value is no class.
    """
    pred, gt = np.asarray(pred), np.asarray(gt)
    if pred.shape != gt.shape:
        raise ValueError(f'prediction {pred.shape} and mask {gt.shape} differ')
    skip = pred == ignore_index
    if not np.isin(pred[~skip], np.arange(num_classes + 1)).all():
        raise ValueError(
            f'prediction holds values other than 0..{num_classes} and '
            f'{ignore_index}'
        )
    gt = np.where(skip, ignore_index, gt)
    pred = np.where(skip, 0, pred)
    bins = (pred > 0).astype(np.intp)
    return _histograms(pred, bins, gt, num_classes, 1, ignore_index)


def seed_scores(hists: Iterable[SeedHistogram]) -> Dict[str, np.ndarray]:
    """IoU, precision and recall of all thresholds from summed histograms.

    Args:
        hists (Iterable[dict]): One histogram for each image.

    Returns:
        dict: Fractions: ``iou``, ``precision``, ``recall`` (T, C + 1),
        background first, NaN where a class is neither predicted nor in a
        mask (iou), never predicted (precision) or in no mask (recall);
        ``mIoU``, ``mPrecision``, ``mRecall`` (T,), their means over the
        classes without NaN; and ``gt_pixels`` (C + 1,).

    Raises:
        ValueError: If there is no histogram or they do not fit together.
    """
    pred, hit, gt = _sum_histograms(hists)
    # Column i: pixels that stay foreground at threshold i, i.e. bins > i.
    above = np.cumsum(pred[:, ::-1], axis=1)[:, -2::-1]
    hits = np.cumsum(hit[:, ::-1], axis=1)[:, -2::-1]
    # Row 0 of ``hit`` counts background pixels that are lost to foreground.
    above[0] = gt.sum() - above[1:].sum(0)
    hits[0] = gt[0] - hits[0]
    result = {'gt_pixels': gt}
    present = np.broadcast_to(gt[:, None], hits.shape)
    for name, below in (
        ('iou', above + present - hits),
        ('precision', above),
        ('recall', present),
    ):
        values = np.full(hits.shape, np.nan)
        np.divide(hits, below, out=values, where=below > 0)
        result[name] = values.T
    for name in ('IoU', 'Precision', 'Recall'):
        result['m' + name] = mean_without_nan(result[name.lower()])
    return result


def check_shown(class_pixels: np.ndarray, place: str) -> None:
    """Refuse scores against masks of nothing but background.

    Args:
        class_pixels (np.ndarray): (C,) pixels of each class in all masks.
        place (str): Where the masks are, for the error.

    Raises:
        ValueError: If no mask shows a class: a mean over the background alone
            says nothing.
    """
    if not class_pixels.any():
        raise ValueError(
            f'{place}: no mask shows a class; class c is stored as c + 1, and '
            '255 is ignored'
        )


def mean_without_nan(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of the entries that are not NaN, else NaN."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(-1)
    number = known.sum(-1)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def power_to_threshold(alphas: np.ndarray) -> np.ndarray:
    """Constant background scores that act like ``(1 - max)^alpha``.

    The score falls and the maximum rises with the maximum, so background
    wins exactly up to one value: the largest double m in [0, 1] with
    ``(1 - m)^alpha >= m``, found by bisection down to neighbouring doubles.

    Args:
        alphas (np.ndarray): (T,) positive exponents.

    Returns:
        np.ndarray: (T,) thresholds, falling where the exponents rise.

    Raises:
        ValueError: If an exponent is not positive and finite.
    """
    alphas = np.asarray(alphas, dtype=np.float64)
    if not (np.isfinite(alphas) & (alphas > 0)).all():
        raise ValueError(f'alphas must be positive, got {alphas.tolist()}')
    low, high = np.zeros_like(alphas), np.ones_like(alphas)
    while True:
        middle = (low + high) / 2
        if ((middle == low) | (middle == high)).all():
            return low
        wins = (1 - middle) ** alphas >= middle
        low, high = np.where(wins, middle, low), np.where(wins, high, middle)


def check_maps(
    maps: np.ndarray, labels: np.ndarray, shape: Tuple[int, ...], classes: int
) -> None:
    """Raise ValueError unless maps, labels and a mask's shape fit."""
    if maps.ndim != 3 or labels.shape != maps.shape[:1]:
        raise ValueError(
            f'maps {maps.shape} and labels {labels.shape} must have shapes '
            '(K, H, W) and (K,)'
        )
    if maps.shape[1:] != tuple(shape):
        raise ValueError(f'maps {maps.shape} and mask {shape} differ in size')
    if len(np.unique(labels)) != len(labels) or not (
        np.isin(labels, np.arange(classes)).all()
    ):
        raise ValueError(
            f'labels {labels.tolist()} must be distinct and in '
            f'0..{classes - 1}'
        )
    _check_range('maps', maps)


def _check_range(name: str, values: np.ndarray) -> None:
    # A NaN makes both comparisons false.
    if values.size and not (
        values.min() >= -_TOLERANCE and values.max() <= 1 + _TOLERANCE
    ):
        raise ValueError(
            f'{name} must be in [0, 1] without NaN, got '
            f'{values.min()}..{values.max()}'
        )


def _winners(
    maps: np.ndarray, labels: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    """Mask value (H, W) of the highest map and its value, float32 or 64."""
    dtype = np.result_type(maps.dtype, np.float32)
    if not len(maps):
        empty = np.zeros(maps.shape[1:], np.intp)
        # Below every threshold: background wins also at 0.
        return empty, np.full(empty.shape, -np.inf, dtype)
    index = maps.argmax(0)
    best = np.take_along_axis(maps, index[None], 0)[0]
    return labels.astype(np.intp)[index] + 1, best.astype(dtype)


def _histograms(
    winner: np.ndarray,
    bins: np.ndarray,
    gt: np.ndarray,
    num_classes: int,
    num_thresholds: int,
    ignore_index: int,
) -> SeedHistogram:
    """Histograms over (winning class, bin) of the valid pixels."""
    valid = gt != ignore_index
    winner, bins, gt = winner[valid], bins[valid], gt[valid].astype(np.intp)
    if gt.size and (gt.min() < 0 or gt.max() > num_classes):
        raise ValueError(
            f'mask holds values {gt.min()}..{gt.max()}, expected '
            f'0..{num_classes} and {ignore_index}'
        )
    rows, width = num_classes + 1, num_thresholds + 1
    joint = winner * width + bins
    # Row 0: there is no background map, so it can hold lost background.
    source = np.where(gt == 0, bins, joint)[(gt == 0) | (gt == winner)]
    pred = np.bincount(joint, minlength=rows * width).reshape(rows, width)
    hit = np.bincount(source, minlength=rows * width).reshape(rows, width)
    pixels = np.bincount(gt, minlength=rows)
    classes = 1 + np.flatnonzero(pred[1:].any(1))
    gt_classes = np.flatnonzero(pixels)
    return {
        'num_classes': num_classes,
        'classes': classes.astype(np.int32),
        'pred': pred[classes].astype(np.int32),
        'hit': hit[classes].astype(np.int32),
        'background': hit[0].astype(np.int32),
        'gt_classes': gt_classes.astype(np.int32),
        'gt_pixels': pixels[gt_classes].astype(np.int64),
    }


def _sum_histograms(
    hists: Iterable[SeedHistogram],
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Dense ``pred``, ``hit`` (C + 1, T + 1) and ``gt_pixels`` (C + 1,)."""
    total = None
    for hist in hists:
        shape = (hist['num_classes'] + 1, len(hist['background']))
        if total is None:
            total = (
                np.zeros(shape, np.int64),
                np.zeros(shape, np.int64),
                np.zeros(shape[0], np.int64),
            )
        pred, hit, pixels = total
        if pred.shape != shape:
            raise ValueError(
                f'histograms differ in classes or thresholds: {pred.shape} '
                f'and {shape}'
            )
        pred[hist['classes']] += hist['pred']
        hit[hist['classes']] += hist['hit']
        hit[0] += hist['background']
        pixels[hist['gt_classes']] += hist['gt_pixels']
    if total is None:
        raise ValueError('no image to score')
    return total
