"""Peaks and peak response maps over photographs."""

from typing import Any, List

import cv2
import numpy as np

from mmwsl.utils.arrays import array
from mmwsl.visualization.canvas import Canvas, instance_colors, more
from mmwsl.visualization.caption import BLACK, WHITE, Color
from mmwsl.visualization.tiles import Tile, resize

# P: peaks, (H, W) the original image, (h, w) the picture.


def draw_peaks(
    image: np.ndarray, points: np.ndarray, color: Color = WHITE
) -> None:
    """Draw crosses with dark rims at peaks, in place.

    Args:
        image (np.ndarray): (h, w, 3) uint8, RGB, contiguous; changed.
        points (np.ndarray): (P, 2) of x, y in pixels of the image.
        color (tuple): RGB of the crosses.
    """
    size = 7 if max(image.shape[:2]) < 300 else 9
    places = [(int(round(float(x))), int(round(float(y)))) for x, y in points]
    for ink, thickness, arm in ((BLACK, 3, size + 2), (color, 1, size)):
        for place in places:
            cv2.drawMarker(
                image, place, ink, cv2.MARKER_TILTED_CROSS, arm, thickness
            )


def draw_peak_responses(
    image: np.ndarray, responses: np.ndarray, darkness: float = 0.65
) -> np.ndarray:
    """Draw each peak response map in its own colour over a darkened image.

    Response maps are sparse and their few strongest pixels outshine the
    rest, so each is smoothed a little and its 0.7th power is shown, relative
    to its 99.8th percentile. Photographs shine through the strongest places.

    Args:
        image (np.ndarray): (h, w, 3) uint8, RGB.
        responses (np.ndarray): (P, H, W) float >= 0, resized to the image.
        darkness (float): How much of the image's light is taken away.

    Returns:
        np.ndarray: (h, w, 3) uint8, RGB.
    """
    light = np.zeros(image.shape, np.float32)
    total = np.zeros(image.shape[:2], np.float32)
    for response, color in zip(responses, instance_colors(len(responses))):
        strength = _strength(response, *image.shape[:2])
        light += strength[..., None] * color.astype(np.float32)
        total += strength
    # Where several maps meet, their colours share the pixel.
    light /= np.maximum(total, 1e-12)[..., None]
    opacity = 0.85 * np.minimum(total, 1)[..., None]
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    dark = grey[..., None].astype(np.float32)
    # The image gets its light back where colours hide most of it.
    dark *= 1 - darkness * (1 - opacity)
    result = dark * (1 - opacity) + light * opacity
    return np.clip(result, 0, 255).round().astype(np.uint8)


def _strength(response: np.ndarray, height: int, width: int) -> np.ndarray:
    """How visible a map (H, W) is at the pixels of the picture, in [0, 1]."""
    response = np.nan_to_num(response.astype(np.float32)).clip(0)
    response = resize(response, height, width)
    sigma = max(1.0, max(height, width) / 250)
    response = cv2.GaussianBlur(response, (0, 0), sigma)
    top = float(np.quantile(response, 0.998)) or float(response.max())
    if top <= 0:
        return np.zeros((height, width), np.float32)
    return np.minimum(response / top, 1) ** 0.7


def response_tiles(canvas: Canvas, instances: Any, limit: int) -> List[Tile]:
    """The tile of the peak response maps, in the colours of the instances.

    Args:
        canvas (Canvas): The image.
        instances (InstanceData): ``peak_response_maps`` (M, H, W) and, if
            known, ``peaks`` (M, 2) of x, y in pixels of the original image.
        limit (int): Most maps shown, the first ones.

    Returns:
        list[Tile]: One tile or none.
    """
    responses = instances.get('peak_response_maps')
    if responses is None or not len(responses):
        return []
    total = len(responses)
    responses = array(responses[:limit])
    drawn = draw_peak_responses(canvas.image, responses)
    peaks = instances.get('peaks')
    if peaks is not None:
        draw_peaks(drawn, array(peaks[:limit]) * canvas.scale)
    number = f'{len(responses)} peak response{"s" * (len(responses) > 1)}'
    return [Tile(drawn, number + more(total - len(responses)))]
