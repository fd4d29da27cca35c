"""Label maps over photographs."""

from typing import Optional, Sequence

import cv2
import numpy as np

from mmwsl.utils.images import voc_color_map

# What VOC's development kit shows for pixels that are not scored.
IGNORE_COLOR = (224, 224, 192)
_VOC_COLORS = np.array(voc_color_map()[1:], np.uint8)


def class_colors(
    palette: Optional[Sequence[Sequence[int]]] = None, count: int = 255
) -> np.ndarray:
    """RGB colours of foreground classes, those of VOC's masks by default.

    Args:
        palette (Sequence, optional): Colours to start with.
        count (int): Number of colours wanted; VOC's 255 are repeated.

    Returns:
        np.ndarray: (max(count, len(palette)), 3) uint8.
    """
    given = np.array(palette or [], np.uint8).reshape(-1, 3)
    index = np.arange(len(given), max(count, len(given)))
    return np.concatenate([given, _VOC_COLORS[index % len(_VOC_COLORS)]])


def draw_label_map(
    image: np.ndarray,
    label_map: np.ndarray,
    palette: Optional[Sequence[Sequence[int]]] = None,
    opacity: float = 0.65,
    ignore_index: int = 255,
) -> np.ndarray:
    """Colour the classes of a label map over an image.

    Args:
        image (np.ndarray): (H, W, 3) uint8, RGB.
        label_map (np.ndarray): (h, w), 0 for background, c + 1 for class c;
            resized to the image without mixing labels.
        palette (Sequence, optional): RGB of the foreground classes.
        opacity (float): Of the colours; background stays as it is.
        ignore_index (int): Label drawn as VOC draws its borders.

    Returns:
        np.ndarray: (H, W, 3) uint8, RGB.
    """
    height, width = image.shape[:2]
    labels = cv2.resize(
        label_map.astype(np.int32),
        (width, height),
        interpolation=cv2.INTER_NEAREST,
    )
    ignored = labels == ignore_index
    labels[ignored] = 0
    colors = class_colors(palette, max(1, int(labels.max())))
    # Row 0 is never seen: background keeps the image.
    flat = np.concatenate([colors[:1], colors])[labels]
    result = cv2.addWeighted(image, 1 - opacity, flat, opacity, 0)
    result[labels == 0] = image[labels == 0]
    result[ignored] = IGNORE_COLOR
    return result
