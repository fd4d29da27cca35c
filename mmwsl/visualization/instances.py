"""Instances over photographs."""

from typing import Any, List, Optional, Sequence

import cv2
import numpy as np

from mmwsl.utils.arrays import array
from mmwsl.visualization.canvas import Canvas, instance_colors, more, rgb
from mmwsl.visualization.labels import write_labels
from mmwsl.visualization.tiles import Tile

# M: instances, (H, W) the original image, (h, w) the picture.


def draw_instances(
    image: np.ndarray,
    masks: np.ndarray,
    texts: Optional[Sequence[str]] = None,
    colors: Optional[np.ndarray] = None,
    opacity: float = 0.5,
) -> np.ndarray:
    """Colour masks over an image, with outlines and labels.

    Args:
        image (np.ndarray): (h, w, 3) uint8, RGB.
        masks (np.ndarray): (M, H, W) bool, best first, resized to the image;
            earlier ones are drawn over later ones.
        texts (Sequence[str], optional): M labels.
        colors (np.ndarray, optional): (M, 3) uint8, RGB; by default one for
            each instance.
        opacity (float): Of the colours inside the outlines.

    Returns:
        np.ndarray: (h, w, 3) uint8, RGB, a copy.
    """
    result = np.ascontiguousarray(image).copy()
    colors = instance_colors(len(masks)) if colors is None else colors
    resized = [resize_mask(mask, *image.shape[:2]) for mask in masks]
    for mask, color in list(zip(resized, colors))[::-1]:
        ink = color.astype(np.float32) * opacity
        result[mask] = result[mask] * (1 - opacity) + ink
        contours, _ = cv2.findContours(
            mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(result, contours, -1, rgb(color), 2)
    if texts is not None:
        boxes = np.array([_box(mask) for mask in resized]).reshape(-1, 4)
        write_labels(result, texts, boxes, colors, resized)
    return result


def resize_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a mask (H, W) to bool (height, width) with smooth borders."""
    shrinks = height * width < mask.size
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    share = cv2.resize(
        mask.astype(np.float32), (width, height), interpolation=how
    )
    return share >= 0.5


def instance_tiles(
    canvas: Canvas, instances: Any, title: str, limit: int
) -> List[Tile]:
    """The tile of an image's instances, if they have masks.

    Args:
        canvas (Canvas): The image.
        instances (InstanceData): ``masks`` (M, H, W), ``labels`` (M,) and,
            if known, ``scores`` (M,) and ``difficult`` (M,).
        title (str): Written above, with the number of instances.
        limit (int): Most instances shown, the first ones.

    Returns:
        list[Tile]: One tile or none.
    """
    masks = instances.get('masks')
    if masks is None:
        return []
    total = len(masks)
    labels = array(instances.get('labels'))[:limit].tolist()
    texts = [canvas.name(label) for label in labels]
    scores, difficult = instances.get('scores'), instances.get('difficult')
    for index in range(len(texts)):
        if scores is not None:
            texts[index] += f' {score_text(float(scores[index]))}'
        if difficult is not None and bool(difficult[index]):
            texts[index] += ' (difficult)'
    drawn = draw_instances(canvas.image, array(masks[:limit]), texts)
    number = f'{len(texts)} instance{"" if len(texts) == 1 else "s"}'
    return [Tile(drawn, f'{title}{number}{more(total - len(texts))}')]


def score_text(score: float) -> str:
    """A score in few letters: '0.83', '12.5', '2e-05'."""
    if score == 0 or 0.01 <= abs(score) < 10:
        return f'{score:.2f}'
    return f'{score:.3g}' if abs(score) >= 10 else f'{score:.0e}'


def _box(mask: np.ndarray) -> List[int]:
    """x1, y1, x2, y2 of a mask; zeros if it is empty."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return [x, y, x + width, y + height]
