"""Density maps and the counts that they sum up to."""

from typing import Any, List, Optional

import cv2
import numpy as np

from mmwsl.utils.arrays import array
from mmwsl.visualization.canvas import Canvas
from mmwsl.visualization.caption import BLACK, WRONG
from mmwsl.visualization.heatmap import heatmap_overlay
from mmwsl.visualization.tiles import Tile, note_left_out

# C: classes, (h, w) the grid of the density maps.


def count_text(
    name: str,
    count: float,
    raw: Optional[float] = None,
    truth: Optional[int] = None,
) -> str:
    """A predicted count in words: 'cat: 3 (raw 2.7), truth 4'."""
    # Adding 0 turns the -0 of a rounded negative number into 0.
    text = f'{name}: {count + 0.0:.4g}'
    if raw is not None:
        text += f' (raw {round(raw, 1) + 0.0:.1f})'
    return text if truth is None else f'{text}, truth {truth}'


def draw_density(image: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Lay a density map over an image.

    It is drawn relative to its maximum, but what does not sum up to one
    object is drawn as faintly.

    Args:
        image (np.ndarray): (H, W, 3) uint8, RGB.
        density (np.ndarray): (h, w) float, resized to the image.

    Returns:
        np.ndarray: (H, W, 3) uint8, RGB.
    """
    top = max(float(density.max(initial=0)), 1e-12)
    heat = density / top * np.clip(density.sum(), 0, 1)
    return heatmap_overlay(image, heat, colormap=cv2.COLORMAP_INFERNO)


def density_tiles(
    canvas: Canvas, sample: Any, use_truth: bool, limit: int
) -> List[Tile]:
    """A tile for each class that was predicted or is given.

    A count that is not the true one is red.

    Args:
        canvas (Canvas): The image.
        sample (WSLDataSample): With ``pred_density`` (C, h, w) and, if
            known, ``pred_count`` (C,), ``gt_count`` (C,), ``gt_label``.
        use_truth (bool): Whether to look at the ground truth.
        limit (int): Most tiles, the largest counts.

    Returns:
        list[Tile]: Largest count first; the last one says how many are left
        out.
    """
    if 'pred_density' not in sample:
        return []
    maps = array(sample.get('pred_density').data)
    raw = maps.sum(axis=(1, 2))
    predicted = sample.get('pred_count')
    counts = np.maximum(raw.round(), 0)
    if predicted is not None:
        counts = array(predicted)
    truth = sample.get('gt_count') if use_truth else None
    asked = np.zeros(len(maps), np.int64)
    if truth is not None:
        asked = array(truth)
    given = np.zeros(len(maps), bool)
    if use_truth and sample.get('gt_label') is not None:
        given[array(sample.get('gt_label'))] = True
    shown = np.flatnonzero((counts > 0) | (asked > 0) | given)
    order = np.lexsort((-raw[shown], -np.maximum(counts, asked)[shown]))
    labels = shown[order][:limit].tolist()
    tiles = []
    for label in labels:
        drawn = draw_density(canvas.image, maps[label])
        known = None if truth is None else int(asked[label])
        count = float(counts[label])
        text = count_text(canvas.name(label), count, float(raw[label]), known)
        wrong = known is not None and count != known
        tiles.append(Tile(drawn, text, WRONG if wrong else BLACK))
    return note_left_out(tiles, len(shown) - len(labels))
