"""Boxes of score maps, and how well they fit ground truth.

As defined by "Evaluating Weakly Supervised Object Localization Methods
Right" (https://arxiv.org/abs/2001.07437).

(H, W): a score map. T: thresholds. L: distinct masks that they give. B: boxes
of all these masks. G: true boxes of an image. Boxes are x1, y1, x2, y2 in
pixels, of which the last ones belong to them; those of label maps and their
objects end at x2 and y2.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Sequence, Tuple, Union

import cv2
import numpy as np
import torch
from torchvision.ops import box_iou

from mmwsl.utils.arrays import mean

# The published interval of the sweep.
THRESHOLDS = np.arange(1000) / 1000

Numbers = Union[Sequence[float], np.ndarray]


class BoxSweep(NamedTuple):
    """The boxes of one score map at all thresholds."""

    level: np.ndarray  # (T,) number of each threshold's mask, 0 to L - 1
    boxes: np.ndarray  # int64 (B, 4), those of mask 0 first
    start: np.ndarray  # (L,) where the boxes of each mask begin
    largest: np.ndarray  # (L,) which box has the contour of largest area


def maps_to_boxes(
    score_map: np.ndarray,
    thresholds: Numbers,
    multi_contour: bool = False,
) -> List[np.ndarray]:
    """Boxes of a score map at every threshold.

    The map times 255, cut off to uint8, is thresholded strictly above
    ``int(threshold * its maximum)``; each contour (tree mode, holes have
    contours too) gives the box x, y, min(x + w, W - 1), min(y + h, H - 1).

    Args:
        score_map (np.ndarray): (H, W) in [0, 1].
        thresholds (Sequence[float]): T finite numbers, in any order.
        multi_contour (bool): All contours instead of the one with the
            largest area, of several such the first.

    Returns:
        list[np.ndarray]: For each threshold int64 (k, 4); (1, 4) of zeros if
        there is no contour. Equal masks share one array.

    Raises:
        ValueError: If map or thresholds are something else.
    """
    sweep = sweep_boxes(score_map, thresholds)
    if multi_contour:
        found = np.split(sweep.boxes, sweep.start[1:])
    else:
        found = list(sweep.boxes[sweep.largest][:, None])
    return [found[level] for level in sweep.level]


def sweep_boxes(score_map: np.ndarray, thresholds: Numbers) -> BoxSweep:
    """Find the boxes of all distinct masks of a score map once.

    A map has at most 256 values, so T thresholds give far fewer masks:
    thresholds between which no pixel lies give the same one.
    """
    check_score_map(score_map)
    values = np.asarray(thresholds, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError('thresholds must be a list of finite numbers')
    scores = np.asarray(score_map)
    # 255 is no int8.
    scores = scores.astype(np.uint8) if scores.dtype == np.int8 else scores
    image = (scores * 255).astype(np.uint8)
    present = np.flatnonzero(np.bincount(image.ravel(), minlength=256))
    # The cast cuts off towards zero, as int() does.
    cuts = (values * float(present[-1])).astype(np.int64)
    above = np.searchsorted(present, cuts, side='right')
    ranks, level = np.unique(above, return_inverse=True)
    boxes: List[Sequence[int]] = []
    start, largest = [], []
    floors = present[ranks[ranks < len(present)]]
    for floor, window in zip(floors.tolist(), _windows(image, floors)):
        contours = _contours(image, floor, window)
        own = [cv2.boundingRect(contour) for contour in contours]
        start.append(len(boxes))
        largest.append(len(boxes) + _largest(contours, own))
        boxes += own
    edges = np.array(boxes, dtype=np.int64).reshape(-1, 4)
    edges[:, 2:] += edges[:, :2]
    last = (image.shape[1] - 1, image.shape[0] - 1)
    edges[:, 2:] = np.minimum(edges[:, 2:], last)
    if len(floors) < len(ranks):
        start.append(len(edges))
        largest.append(len(edges))
        edges = np.concatenate([edges, np.zeros((1, 4), np.int64)])
    return BoxSweep(level, edges, np.array(start, int), np.array(largest, int))


def check_score_map(score_map: Any) -> None:
    """Raise ValueError unless a map is (H, W) in [0, 1] without NaN."""
    values = np.asarray(score_map)
    if values.ndim != 2 or not values.size:
        raise ValueError(
            f'score map must have the shape (H, W), got {values.shape}'
        )
    # A NaN makes both comparisons false.
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f'score map must be in [0, 1] without NaN, got {low:g}..{high:g}'
        )


def _windows(image: np.ndarray, floors: np.ndarray) -> np.ndarray:
    """Return top, bottom, left, right (L, 4) of the pixels >= each floor.

    Contours found in the window are those found in the whole image, and most
    masks of a score map are much smaller than the map.
    """
    edges = []
    for axis in (1, 0):
        hits = image.max(axis=axis) >= floors[:, None]
        edges += [hits.argmax(1), hits.shape[1] - hits[:, ::-1].argmax(1)]
    return np.stack(edges, axis=1)


def _contours(
    image: np.ndarray, floor: int, window: np.ndarray
) -> Sequence[np.ndarray]:
    """The contours of the pixels >= floor, which is above 0 or the least."""
    top, bottom, left, right = window.tolist()
    part = image[top:bottom, left:right]
    mask = cv2.threshold(part, floor - 1, 255, cv2.THRESH_BINARY)[1]
    # OpenCV 3 returns the picture first.
    return cv2.findContours(
        mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE, offset=(left, top)
    )[-2]


def _largest(
    contours: Sequence[np.ndarray], boxes: Sequence[Sequence[int]]
) -> int:
    """The index of the contour with the largest area, the first of several.

    Areas cost more than boxes, which bound them: most need not be computed.
    """
    if len(contours) == 1:
        return 0
    bounds = [(width - 1) * (height - 1) for _, _, width, height in boxes]
    least = cv2.contourArea(contours[bounds.index(max(bounds))])
    indices = [i for i, bound in enumerate(bounds) if bound >= least]
    if len(indices) == 1:
        return indices[0]
    areas = [cv2.contourArea(contours[i]) for i in indices]
    return indices[areas.index(max(areas))]


def box_ious(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union (B, G) of boxes (B, 4) and others (G, 4).

    Raises:
        ValueError: If a box ends before it begins.
    """
    one, two = np.asarray(boxes)[:, None], np.asarray(others)[None]
    if any((x[..., 2:] < x[..., :2]).any() for x in (one, two)):
        raise ValueError('a box ends before it begins')
    top_left = np.maximum(one[..., :2], two[..., :2])
    bottom_right = np.minimum(one[..., 2:], two[..., 2:])
    common = np.clip(bottom_right - top_left + 1, 0, None).prod(-1)
    areas = [(x[..., 2:] - x[..., :2] + 1).prod(-1) for x in (one, two)]
    return common / (areas[0] + areas[1] - common)


def best_ious(
    sweep: BoxSweep, gt_boxes: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    """The best overlap with any of the true boxes (G, 4) at every threshold.

    First (T,) that of the largest contour's box, then (T,) that of all boxes.
    """
    best = box_ious(sweep.boxes, gt_boxes).max(axis=1)
    every = np.maximum.reduceat(best, sweep.start)
    return best[sweep.largest][sweep.level], every[sweep.level]


def resize_boxes(
    boxes: np.ndarray, size: Tuple[int, int], new_size: Tuple[int, int]
) -> np.ndarray:
    """Bring boxes (G, 4) from an image to a score map; fractions are cut off.

    Sizes are height and width, first that of the image.
    """
    old, new = (np.array([*x[::-1]] * 2, float) for x in (size, new_size))
    scaled: np.ndarray = np.asarray(boxes, dtype=np.float64) * new / old
    return scaled.astype(np.int64)


def component_boxes(mask: np.ndarray) -> np.ndarray:
    """Tight boxes int64 (B, 4) of the connected parts of a mask (H, W).

    The largest part comes first; parts touch at corners as well.
    """
    _, _, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    stats = stats[1:][np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind='stable')]
    x, y, width, height = stats[:, :4].T.astype(np.int64)
    return np.stack([x, y, x + width, y + height], axis=1)


def match_objects(
    label_map: np.ndarray, objects: Dict[str, np.ndarray]
) -> np.ndarray:
    """Compare the parts of a label map (H, W) with the boxes of objects.

    These have ``bboxes`` (G, 4), ``labels`` (G,) and ``difficult`` (G,);
    difficult ones need not be found, but may be.

    Returns:
        np.ndarray: (n, 3): a kind, a class and the best IoU with a box of the
        same class; 0 where there is none. Kinds are 0, an object and its best
        part; 1, an image's class and its largest part; 2, a part and its best
        object, where that is a difficult one NaN.
    """
    rows: List[Tuple[float, float, float]] = []
    shown = np.setdiff1d(label_map, (0, 255)).astype(np.int64) - 1
    for label in np.union1d(shown, objects['labels']):
        own = objects['labels'] == label
        hard = objects['difficult'][own].astype(bool)
        parts = component_boxes(label_map == label + 1)
        truth = objects['bboxes'][own]
        ious = box_iou(
            torch.from_numpy(parts).double(), torch.from_numpy(truth).double()
        ).numpy()
        rows += [(0, label, x.max(initial=0)) for x in ious.T[~hard]]
        if not hard.all():
            rows.append((1, label, ious[:1, ~hard].max(initial=0)))
        for row in ious:
            excused = hard.any() and hard[row.argmax()] and row.max() > 0
            rows.append((2, label, np.nan if excused else row.max(initial=0)))
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def object_scores(
    rows: np.ndarray, num_classes: int, least: float = 0.5
) -> Dict[str, np.ndarray]:
    """Average the rows (n, 3) of :func:`match_objects` of all images.

    Something is right from an IoU of ``least`` on.

    Returns:
        dict: Fractions (C + 1,), of each class and last of all together, NaN
        where there is nothing: ``recall``, objects that a part finds;
        ``best_iou``, the mean over objects; ``corloc``, images of a class
        whose largest part is right; ``precision``, parts that are right.
    """
    rows = rows[~np.isnan(rows[:, 2])]
    found: Dict[str, List[np.ndarray]] = {}
    for label in range(num_classes + 1):
        own = rows[(rows[:, 1] == label) | (label == num_classes)]
        objects, images, parts = (own[own[:, 0] == k, 2] for k in range(3))
        for name, values in (
            ('recall', objects >= least),
            ('best_iou', objects),
            ('corloc', images >= least),
            ('precision', parts >= least),
        ):
            found.setdefault(name, []).append(mean(values))
    return {name: np.array(values) for name, values in found.items()}
