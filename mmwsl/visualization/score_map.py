"""Score maps of localisation, with their boxes."""

from typing import Any, List, Optional, Tuple

import cv2
import numpy as np

from mmwsl.evaluation.functional import (
    THRESHOLDS,
    best_ious,
    box_ious,
    maps_to_boxes,
    resize_boxes,
    sweep_boxes,
)
from mmwsl.utils.arrays import array
from mmwsl.visualization.canvas import Canvas
from mmwsl.visualization.caption import BLACK, WHITE, Color
from mmwsl.visualization.heatmap import heatmap_overlay
from mmwsl.visualization.labels import write_labels
from mmwsl.visualization.tiles import Tile

# Magenta is not in the heat map.
_TRUTH: Color = (255, 60, 255)
_NO_BOX = np.zeros((0, 4))


def draw_score_map(
    image: np.ndarray,
    score_map: np.ndarray,
    boxes: Optional[np.ndarray] = None,
    gt_boxes: Optional[np.ndarray] = None,
    gt_mask: Optional[np.ndarray] = None,
) -> np.ndarray:
    """Lay a score map over an image, with predicted boxes and the truth.

    Args:
        image (np.ndarray): (h, w, 3) uint8, RGB.
        score_map (np.ndarray): (H, W) in [0, 1], resized to the image.
        boxes (np.ndarray, optional): (n, 4) of x1, y1, x2, y2 in pixels of
            the image, drawn in white.
        gt_boxes (np.ndarray, optional): (m, 4), drawn in magenta.
        gt_mask (np.ndarray, optional): 1 in objects, resized to the image;
            their outlines are drawn in magenta.

    Returns:
        np.ndarray: (h, w, 3) uint8, RGB.
    """
    result = np.ascontiguousarray(heatmap_overlay(image, score_map))
    boxes, gt_boxes = _as_boxes(boxes), _as_boxes(gt_boxes)
    colors = np.array(
        [WHITE] * len(boxes) + [_TRUTH] * len(gt_boxes), np.uint8
    )
    if gt_mask is not None:
        _draw_outlines(result, gt_mask == 1)
    for box in gt_boxes:
        _draw_rimmed_box(result, box, _TRUTH)
    for box in boxes:
        _draw_rimmed_box(result, box, WHITE)
    texts = ['predicted'] * len(boxes) + ['truth'] * len(gt_boxes)
    both = np.concatenate([boxes, gt_boxes])
    write_labels(result, texts, both, colors)
    return result


def score_map_tiles(
    canvas: Canvas,
    sample: Any,
    use_truth: bool,
    threshold: Optional[float] = None,
) -> List[Tile]:
    """The tile of an image's score map.

    The box is that of ``pred_instances`` or, without one, the map's at a
    threshold: the given one, or else the one that fits this image's true
    boxes best, which the text then calls the best IoU.

    Args:
        canvas (Canvas): The image.
        sample (WSLDataSample): With ``pred_score_map`` (1, h, w) in [0, 1]
            and, if known, ``bboxes`` in ``pred_instances`` and in
            ``gt_instances``, and ``gt_loc_mask``.
        use_truth (bool): Whether to draw the true boxes and the mask.
        threshold (float, optional): Threshold of the box in [0, 1].

    Returns:
        list[Tile]: One tile or none; its text names the overlap as the
        localisation metrics have it, on the pixels of the map.
    """
    if 'pred_score_map' not in sample:
        return []
    heat = array(sample.get('pred_score_map').data)[0]
    shape = np.array(canvas.image.shape[:2])
    size = sample.get('ori_shape', tuple(shape / canvas.scale))[:2]
    truth = _boxes_of(sample, 'gt_instances') if use_truth else _NO_BOX
    on_map = resize_boxes(truth, size, heat.shape)
    found = _boxes_of(sample, 'pred_instances')
    text = ''
    if len(found):
        boxes = resize_boxes(found, size, heat.shape)
        found = found * canvas.scale
        if len(truth):
            text = f', IoU {box_ious(boxes, on_map).max():.2f}'
    else:
        boxes, text = _threshold_box(heat, on_map, threshold)
        found = boxes * np.tile(shape[::-1] / heat.shape[::-1], 2)
    mask = None
    if use_truth and 'gt_loc_mask' in sample:
        mask = array(sample.get('gt_loc_mask').data)[0]
    drawn = draw_score_map(
        canvas.image, heat, found, truth * canvas.scale, mask
    )
    return [Tile(drawn, _title(canvas, sample) + text)]


def _threshold_box(
    heat: np.ndarray, truth: np.ndarray, threshold: Optional[float]
) -> Tuple[np.ndarray, str]:
    """The box (1, 4) of a map on its pixels, and what is said of it.

    Args:
        heat (np.ndarray): (h, w) in [0, 1].
        truth (np.ndarray): (G, 4) true boxes on the pixels of the map.
        threshold (float, optional): Where to cut, None for the best place.
    """
    name = ', IoU'
    if threshold is None:
        if not len(truth):
            return _NO_BOX, ''
        overlap, _ = best_ious(sweep_boxes(heat, THRESHOLDS), truth)
        threshold, name = float(THRESHOLDS[overlap.argmax()]), ', best IoU'
    (box,) = maps_to_boxes(heat, [threshold])
    if not len(truth):
        return box, f' at {threshold:.2f}'
    return box, f'{name} {box_ious(box, truth).max():.2f} at {threshold:.2f}'


def _title(canvas: Canvas, sample: Any) -> str:
    """Whose map it is: the given class, or else the best one."""
    labels, scores = sample.get('gt_label'), sample.get('pred_score')
    if labels is not None and len(labels) == 1:
        return f'{canvas.name(int(labels[0]))} map'
    if scores is not None:
        return f'{canvas.name(int(scores.argmax()))} map'
    return 'score map'


def _boxes_of(sample: Any, name: str) -> np.ndarray:
    instances = sample.get(name)
    return _as_boxes(None if instances is None else instances.get('bboxes'))


def _as_boxes(boxes: Any) -> np.ndarray:
    if boxes is None:
        return _NO_BOX
    return array(boxes).reshape(-1, 4).astype(np.float64)


def _draw_rimmed_box(image: np.ndarray, box: np.ndarray, color: Color) -> None:
    """Draw a box with dark rims in place; its far corner is exclusive."""
    x1, y1, x2, y2 = (int(value) for value in box.round())
    for ink, thickness in ((BLACK, 4), (color, 2)):
        cv2.rectangle(image, (x1, y1), (x2 - 1, y2 - 1), ink, thickness)


def _draw_outlines(image: np.ndarray, mask: np.ndarray) -> None:
    """Draw the outlines of a mask of any size, with dark rims, in place."""
    plane = cv2.resize(
        mask.astype(np.uint8),
        image.shape[1::-1],
        interpolation=cv2.INTER_NEAREST,
    )
    # OpenCV 3 returns the picture first.
    contours = cv2.findContours(plane, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[
        -2
    ]
    for ink, thickness in ((BLACK, 4), (_TRUTH, 2)):
        cv2.drawContours(image, contours, -1, ink, thickness)
