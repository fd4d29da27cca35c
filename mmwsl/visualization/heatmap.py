"""Heat maps over photographs."""

from typing import Any, Dict, List

import cv2
import numpy as np

from mmwsl.utils.arrays import array
from mmwsl.visualization.canvas import Canvas
from mmwsl.visualization.caption import BLACK, WRONG
from mmwsl.visualization.peaks import draw_peaks
from mmwsl.visualization.tiles import Tile, note_left_out


def heatmap_overlay(
    image: np.ndarray,
    heat: np.ndarray,
    strength: float = 0.65,
    colormap: int = cv2.COLORMAP_JET,
) -> np.ndarray:
    """Lay a heat map over an image; the image stays visible where it is low.

    Args:
        image (np.ndarray): (H, W, 3) uint8, RGB.
        heat (np.ndarray): (h, w) in [0, 1], resized to the image; values
            outside are clipped, NaN counts as 0.
        strength (float): Opacity at heat 1; at heat 0 it is half of it.
        colormap (int): One of OpenCV's COLORMAP constants.

    Returns:
        np.ndarray: (H, W, 3) uint8, RGB.
    """
    height, width = image.shape[:2]
    heat = np.clip(np.nan_to_num(heat.astype(np.float32)), 0, 1)
    heat = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)
    colors = cv2.applyColorMap((heat * 255).astype(np.uint8), colormap)
    opacity = (strength * (0.5 + 0.5 * heat))[..., None]
    # OpenCV's colour maps are BGR.
    base = image.astype(np.float32)
    base += (colors[..., ::-1] - base) * opacity
    return base.round().astype(np.uint8)


def heat_map_tiles(
    canvas: Canvas, sample: Any, use_truth: bool, limit: int
) -> List[Tile]:
    """A tile for each class whose map was kept or has peaks.

    The best score comes first. The peaks of a class are crosses in its map;
    where none was kept it is the one on which they were found. The name of a
    class that is not among the given labels is red.

    Args:
        canvas (Canvas): The image.
        sample (WSLDataSample): With ``pred_maps`` (K, H, W),
            ``pred_map_labels`` (K,) and, if known, ``pred_score`` (C,),
            ``pred_peaks``, ``pred_class_maps`` and ``gt_label``.
        use_truth (bool): Whether to look at the ground truth.
        limit (int): Most tiles, the best scores.

    Returns:
        list[Tile]: The last one says how many are left out.
    """
    if 'pred_maps' not in sample:
        return []
    maps = _maps_of_classes(sample)
    labels = list(maps)
    scores = sample.get('pred_score')
    given = sample.get('gt_label') if use_truth else None
    values = [0.0] * len(labels)
    if scores is not None:
        values = array(scores)[labels].tolist()
    order = np.argsort(np.negative(values), kind='stable')[:limit]
    tiles = []
    for index in order.tolist():
        label = labels[index]
        text = canvas.name(label)
        if scores is not None:
            text = f'{text} {values[index]:.2f}'
        wrong = given is not None and label not in given.tolist()
        drawn = heatmap_overlay(canvas.image, array(maps[label]))
        _draw_class_peaks(drawn, sample, label, canvas.scale)
        tiles.append(Tile(drawn, text, WRONG if wrong else BLACK))
    return note_left_out(tiles, len(labels) - len(tiles))


def _maps_of_classes(sample: Any) -> Dict[int, Any]:
    """The kept maps, and those of the other classes that have peaks."""
    labels = array(sample.get('pred_map_labels')).tolist()
    maps = dict(zip(labels, sample.get('pred_maps').data))
    peaks, logits = sample.get('pred_peaks'), sample.get('pred_class_maps')
    if peaks is None or logits is None:
        return maps
    for label in np.unique(array(peaks.get('labels'))).tolist():
        if label not in maps:
            heat = array(logits.data[label]).clip(min=0)
            maps[label] = heat / max(float(heat.max()), 1e-6)
    return maps


def _draw_class_peaks(
    image: np.ndarray, sample: Any, label: int, scale: float
) -> None:
    peaks = sample.get('pred_peaks')
    if peaks is None or not len(peaks.get('labels')):
        return
    own = array(peaks.get('labels')) == label
    draw_peaks(image, array(peaks.get('points'))[own] * scale)
