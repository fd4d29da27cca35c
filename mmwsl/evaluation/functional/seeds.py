"""Quality of class maps, label maps and regions against masks.

Class maps are scored over a sweep of background scores.

C: foreground classes. K: maps of one image. T: thresholds. Masks hold 0 for
background and c + 1 for class c.
"""

from __future__ import annotations

import json
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

import numpy as np

from mmwsl.pseudo_labels.labels import IGNORE
from mmwsl.utils.arrays import mean, mean_without_nan
from mmwsl.utils.files import write_whole
from mmwsl.utils.tables import csv_text, percent

# Interpolated maps and half precision overshoot 1 by one rounding step.
_TOLERANCE = 1e-3
SWEPT_MEANS = ('mIoU', 'mPrecision', 'mRecall')

SeedHistogram = Dict[str, Any]


def seed_histograms(
    maps: np.ndarray,
    labels: np.ndarray,
    gt: np.ndarray,
    num_classes: int,
    thresholds: Optional[np.ndarray] = None,
    saliency: Optional[np.ndarray] = None,
) -> SeedHistogram:
    """Counts of one image from which every threshold's scores follow.

    With a background score t the prediction is ``argmax([t, *maps])``, ties
    to the first. A pixel is therefore foreground as long as t is below its
    highest map: the number of such thresholds is the pixel's bin, and one
    histogram over (winning class, bin) holds the results of all thresholds.
    Values are compared in the maps' precision.

    Args:
        maps (np.ndarray): (K, H, W) in [0, 1]; K may be 0.
        labels (np.ndarray): (K,) distinct class indices of the maps.
        gt (np.ndarray): (H, W) mask, 255 for pixels left out.
        num_classes (int): C.
        thresholds (np.ndarray, optional): (T,) background scores, ascending.
        saliency (np.ndarray, optional): (H, W) in [0, 1]; the background
            score is then ``1 - saliency`` and there is one result (T = 1).

    Returns:
        dict: Small integer arrays, additive over images: ``classes`` (k,)
        mask values that win a pixel, their histograms ``pred`` and ``hit``
        (k, T + 1), ``background`` (T + 1,) of the mask's background,
        ``gt_classes`` (g,) and ``gt_pixels`` (g,); and ``num_classes``.

    Raises:
        ValueError: If something does not fit, or not one of ``thresholds``
            and ``saliency`` is given.
    """
    maps, labels, gt = np.asarray(maps), np.asarray(labels), np.asarray(gt)
    _check_maps(maps, labels, gt.shape, num_classes)
    if (thresholds is None) == (saliency is None):
        raise ValueError('give either thresholds or saliency')
    winner, best = _winners(maps, labels)
    number = 1
    if saliency is not None:
        if np.shape(saliency) != gt.shape:
            raise ValueError(
                f'saliency {np.shape(saliency)} and mask {gt.shape} differ'
            )
        _check_range('saliency', np.asarray(saliency))
        bins = (best > 1 - np.asarray(saliency, best.dtype)).astype(np.intp)
    else:
        levels = np.asarray(thresholds, dtype=np.float64)
        if levels.ndim != 1 or not (np.diff(levels) >= 0).all():
            raise ValueError('thresholds must be a list in ascending order')
        number = len(levels)
        bins = np.searchsorted(levels.astype(best.dtype), best)
    return _histograms(winner, bins, gt, num_classes, number)


def label_map_histograms(
    pred: np.ndarray, gt: np.ndarray, num_classes: int
) -> SeedHistogram:
    """The same counts (T = 1) for a label map (H, W), 255 left out, too."""
    pred, gt = np.asarray(pred), np.asarray(gt)
    if pred.shape != gt.shape:
        raise ValueError(f'prediction {pred.shape} and mask {gt.shape} differ')
    skip = pred == IGNORE
    if not np.isin(pred[~skip], np.arange(num_classes + 1)).all():
        raise ValueError(
            f'prediction holds values other than 0..{num_classes} and 255'
        )
    gt = np.where(skip, IGNORE, gt)
    pred = np.where(skip, 0, pred)
    bins = (pred > 0).astype(np.intp)
    return _histograms(pred, bins, gt, num_classes, 1)


def _check_maps(
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
) -> SeedHistogram:
    """Histograms over (winning class, bin) of the valid pixels."""
    valid = gt != IGNORE
    winner, bins, gt = winner[valid], bins[valid], gt[valid].astype(np.intp)
    if gt.size and (gt.min() < 0 or gt.max() > num_classes):
        raise ValueError(
            f'mask holds values {gt.min()}..{gt.max()}, expected '
            f'0..{num_classes} and 255'
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


def seed_scores(hists: Iterable[SeedHistogram]) -> Dict[str, np.ndarray]:
    """IoU, precision and recall of all thresholds from images' histograms.

    Returns:
        dict: Fractions: ``iou``, ``precision``, ``recall`` (T, C + 1),
        background first, NaN where a class is neither predicted nor in a
        mask (iou), never predicted (precision) or in no mask (recall);
        ``mIoU``, ``mPrecision``, ``mRecall`` (T,), their means over the
        classes without NaN; and ``gt_pixels`` (C + 1,).

    Raises:
        ValueError: If there is no histogram or they do not fit together.
    """
    hists = list(hists)
    shapes = {(x['num_classes'] + 1, len(x['background'])) for x in hists}
    if len(shapes) != 1:
        raise ValueError(
            f'histograms differ in classes or thresholds: {sorted(shapes)}'
            if hists
            else 'no image to score'
        )
    pred, hit = np.zeros((2, *shapes.pop()), np.int64)
    gt = np.zeros(len(pred), np.int64)
    for hist in hists:
        pred[hist['classes']] += hist['pred']
        hit[hist['classes']] += hist['hit']
        hit[0] += hist['background']
        gt[hist['gt_classes']] += hist['gt_pixels']
    # Column i: pixels that stay foreground at threshold i, i.e. bins > i.
    above = np.cumsum(pred[:, ::-1], axis=1)[:, -2::-1]
    hits = np.cumsum(hit[:, ::-1], axis=1)[:, -2::-1]
    # Row 0 of ``hit`` counts background pixels that are lost to foreground.
    above[0] = gt.sum() - above[1:].sum(0)
    hits[0] = gt[0] - hits[0]
    result: Dict[str, np.ndarray] = {'gt_pixels': gt}
    present = np.broadcast_to(gt[:, None], hits.shape)
    for name, below in (
        ('IoU', above + present - hits),
        ('Precision', above),
        ('Recall', present),
    ):
        values = np.full(hits.shape, np.nan)
        np.divide(hits, below, out=values, where=below > 0)
        result[name.lower()] = values.T
        result[f'm{name}'] = mean_without_nan(values.T)
    return result


def check_shown(class_pixels: np.ndarray, place: str) -> None:
    """Refuse masks, at a place, that show no class: (C,) pixels of each.

    A mean over the background alone says nothing.
    """
    if not class_pixels.any():
        raise ValueError(
            f'{place}: no mask shows a class; class c is stored as c + 1, and '
            '255 is ignored'
        )


def power_to_threshold(alphas: np.ndarray) -> np.ndarray:
    """Constant background scores that act like ``(1 - max)^alpha``.

    The score falls and the maximum rises with the maximum, so background
    wins exactly up to one value: the largest double m in [0, 1] with
    ``(1 - m)^alpha >= m``, found by bisection down to neighbouring doubles.
    Thresholds fall where exponents rise.

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


def seed_means(scores: Dict[str, np.ndarray], index: int) -> Dict[str, float]:
    """``mIoU``, ``mPrecision`` and ``mRecall`` in percent at one threshold."""
    return {key: percent(scores[key][index]) for key in SWEPT_MEANS}


def seed_table(
    scores: Dict[str, np.ndarray],
    index: int,
    class_names: Sequence[str],
    bodies: Optional[np.ndarray] = None,
) -> Dict[str, Sequence[Any]]:
    """Columns of IoU, precision and recall of background and each class.

    They are those of one threshold; bodies (C,) are recalls, another column.
    """
    columns: Dict[str, Sequence[Any]] = {
        'class': ['background', *class_names, 'mean']
    }
    for name in ('IoU', 'Precision', 'Recall'):
        header = name if name == 'IoU' else name.lower()
        values = scores[name.lower()][index]
        columns[header] = [*values, scores[f'm{name}'][index]]
    if bodies is not None:
        columns['body recall'] = [np.nan, *bodies, mean_without_nan(bodies)]
    return columns


def write_sweep(
    path: str, scores: Dict[str, np.ndarray], swept: Dict[str, np.ndarray]
) -> None:
    """Write the means in percent at each threshold as ``.json`` or ``.csv``.

    The columns (T,) of what is swept come first.
    """
    check_sweep_path(path)
    columns: Dict[str, List[Any]] = {k: x.tolist() for k, x in swept.items()}
    for key in SWEPT_MEANS:
        # JSON knows no NaN.
        columns[key] = [
            None if np.isnan(x) else percent(x) for x in scores[key]
        ]
    rows = list(zip(*columns.values()))
    content = csv_text([tuple(columns), *rows])
    if path.endswith('.json'):
        content = json.dumps([dict(zip(columns, x)) for x in rows], indent=1)
    write_whole(path, content.encode())


def check_sweep_path(path: str) -> None:
    """Raise ValueError unless the file's suffix is .json or .csv."""
    if not path.endswith(('.json', '.csv')):
        raise ValueError(f'{path}: the sweep is written as .json or .csv')


def region_counts(
    regions: np.ndarray,
    labels: np.ndarray,
    mask: np.ndarray,
    num_classes: int,
) -> np.ndarray:
    """Count the pixels of one image that regions get right.

    Regions, bool (K, H, W), of different classes may overlap; each is scored
    for itself.

    Returns:
        np.ndarray: int64 (3, C), additive over images: pixels of a class in
        its region, pixels of its region, and pixels of the class.
    """
    if regions.shape[1:] != mask.shape:
        raise ValueError(
            f'regions {regions.shape[1:]} and mask {mask.shape} differ in size'
        )
    if len(labels) and not 0 <= min(labels) <= max(labels) < num_classes:
        raise ValueError(
            f'regions of classes {list(labels)}, but there are {num_classes}'
        )
    valid = mask != IGNORE
    present = np.bincount(mask[valid], minlength=num_classes + 1)
    if len(present) > num_classes + 1:
        raise ValueError(
            f'mask holds {len(present) - 1}, but there are {num_classes} '
            'classes'
        )
    counts = np.zeros((3, num_classes), np.int64)
    counts[2] = present[1:]
    for region, label in zip(regions, labels):
        counts[0, label] += int((region & (mask == label + 1)).sum())
        counts[1, label] += int((region & valid).sum())
    return counts


def region_scores(counts: np.ndarray) -> Dict[str, float]:
    """Return ``recall`` and ``precision`` of counts summed over images.

    They are fractions, means over classes, and NaN over nothing.
    """
    scores = {}
    for name, row in (('recall', 2), ('precision', 1)):
        known = counts[row] > 0
        scores[name] = float(mean(counts[0, known] / counts[row, known]))
    return scores
