"""Heat maps over photographs."""

import cv2
import numpy as np


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
