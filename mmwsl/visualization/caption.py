"""Text in pictures."""

from typing import Tuple

import cv2
import numpy as np

Color = Tuple[int, int, int]

BLACK: Color = (0, 0, 0)
WHITE: Color = (255, 255, 255)
# Captions of what contradicts the ground truth.
WRONG: Color = (200, 0, 0)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_DOTS = '...'


def text_size(text: str, scale: float) -> Tuple[int, int, int]:
    """Width, height above and height below the base line, in pixels."""
    (width, height), below = cv2.getTextSize(text, _FONT, scale, 1)
    return int(width), int(height), int(below)


def shorten(text: str, width: int, scale: float, end: bool = False) -> str:
    """Cut a text that is wider than ``width`` pixels, marked by dots.

    Args:
        text (str): The text.
        width (int): Room in pixels.
        scale (float): Font scale.
        end (bool): Keep the end instead of the start, as fits paths.

    Returns:
        str: The text, perhaps cut; empty if not even the dots fit.
    """
    if text_size(text, scale)[0] <= width:
        return text
    for kept in range(len(text) - 1, -1, -1):
        part = _DOTS + text[len(text) - kept :] if end else text[:kept] + _DOTS
        if text_size(part, scale)[0] <= width:
            return part
    return ''


def caption(
    image: np.ndarray,
    text: str,
    color: Color = BLACK,
    background: Color = WHITE,
    scale: float = 0.5,
    keep_end: bool = False,
) -> np.ndarray:
    """Put a line of text above an image.

    The font is made smaller, down to 0.8 of ``scale``, before text is cut.

    Args:
        image (np.ndarray): (H, W, 3) uint8, RGB.
        text (str): The text.
        color (tuple): RGB of the text.
        background (tuple): RGB of the bar.
        scale (float): Font scale; 0.5 is about 12 pixels high.
        keep_end (bool): Where text must be cut, keep its end.

    Returns:
        np.ndarray: (H + bar, W, 3) uint8; the bar's height depends on
        ``scale`` alone, so captioned images of one size stay of one size.
    """
    _, height, below = text_size('Ag', scale)
    bar = np.empty((height + below + 6, image.shape[1], 3), np.uint8)
    bar[:] = background
    room = image.shape[1] - 6
    for smaller in (1.0, 0.9, 0.8):
        if text_size(text, scale * smaller)[0] <= room:
            break
    scale *= smaller
    text = shorten(text, room, scale, keep_end)
    base = (3, height + 3)
    cv2.putText(bar, text, base, _FONT, scale, color, 1, cv2.LINE_AA)
    return np.concatenate([bar, image])


def draw_text(
    image: np.ndarray,
    text: str,
    place: Tuple[int, int],
    color: Color = BLACK,
    scale: float = 0.42,
) -> None:
    """Write on a patch of colour into an image, in place.

    Args:
        image (np.ndarray): (H, W, 3) uint8, RGB, contiguous; changed.
        text (str): The text.
        place (tuple): x, y of the upper left corner; moved into the image.
        color (tuple): RGB of the patch; the text is black or white,
            whichever is easier to read on it.
        scale (float): Font scale.
    """
    width, height, below = text_size(text, scale)
    box = (width + 4, height + below + 2)
    x = max(0, min(place[0], image.shape[1] - box[0]))
    y = max(0, min(place[1], image.shape[0] - box[1]))
    cv2.rectangle(image, (x, y), (x + box[0], y + box[1]), color, -1)
    # Weights of the channels in perceived brightness, ITU-R BT.601.
    light = float(np.dot(color, (0.299, 0.587, 0.114))) > 140
    ink = BLACK if light else WHITE
    base = (x + 2, y + height + 1)
    cv2.putText(image, text, base, _FONT, scale, ink, 1, cv2.LINE_AA)


def corner_note(image: np.ndarray, text: str) -> np.ndarray:
    """Write a note into the lower right corner of a copy of an image."""
    image = np.ascontiguousarray(image).copy()
    draw_text(image, text, (image.shape[1], image.shape[0]), WHITE)
    return image
