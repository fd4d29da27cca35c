"""Boxes over photographs."""

from typing import Optional, Sequence

import cv2
import numpy as np

from mmwsl.visualization.caption import draw_text
from mmwsl.visualization.label_map import class_colors


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: Optional[np.ndarray] = None,
    class_names: Optional[Sequence[str]] = None,
    palette: Optional[Sequence[Sequence[int]]] = None,
    thickness: int = 2,
) -> np.ndarray:
    """Draw boxes in the colours of their classes, with names if given.

    Args:
        image (np.ndarray): (H, W, 3) uint8, RGB.
        boxes (np.ndarray): (n, 4) of x1, y1, x2, y2 in pixels of the image.
        labels (np.ndarray, optional): (n,) class indices.
        class_names (Sequence[str], optional): Names written in the boxes.
        palette (Sequence, optional): RGB of the classes.
        thickness (int): Of the lines, in pixels.

    Returns:
        np.ndarray: (H, W, 3) uint8, RGB, a copy.
    """
    image = np.ascontiguousarray(image).copy()
    labels = np.zeros(len(boxes), int) if labels is None else labels
    colors = class_colors(palette, int(np.max(labels, initial=0)) + 1)
    for box, label in zip(np.asarray(boxes).round().astype(int), labels):
        red, green, blue = colors[label].tolist()
        color = (red, green, blue)
        # The second corner of a box is exclusive.
        corner = (int(box[2]) - 1, int(box[3]) - 1)
        start = (int(box[0]), int(box[1]))
        cv2.rectangle(image, start, corner, color, thickness)
        if class_names is not None:
            place = (start[0] + thickness + 1, start[1] + thickness + 1)
            draw_text(image, class_names[label], place, color=color)
    return image
