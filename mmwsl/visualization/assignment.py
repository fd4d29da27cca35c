"""Subsets of an image's pixels, over the image."""

from typing import Any, List, Sequence, Tuple

import cv2
import numpy as np

from mmwsl.utils.arrays import array
from mmwsl.visualization.canvas import rgb
from mmwsl.visualization.caption import BLACK, draw_text, text_size
from mmwsl.visualization.tiles import display_size, resize

SUBSETS = ('universum', 'fake source', 'target')
# Far apart for colour-blind eyes too.
_COLORS = np.array([[70, 110, 220], [255, 200, 30], [230, 50, 60]], np.uint8)


def draw_assignment(
    image: np.ndarray,
    assignment: Any,
    shortest: int = 224,
    longest: int = 400,
    opacity: float = 0.5,
) -> np.ndarray:
    """Colour the three subsets of the target sample assigner over an image.

    Args:
        image (np.ndarray): (H, W, 3) uint8, RGB.
        assignment (Tensor | np.ndarray): (h, w) of 0 universum, 1 fake
            source, 2 target; each cell covers its part of the image.
        shortest (int): Smaller images are shown with their shorter side at
            this length.
        longest (int): Larger ones with their longer side at this length.
        opacity (float): Of the colours.

    Returns:
        np.ndarray: (H', W', 3) uint8, RGB: the image at display size with
        the legend, and the share of each subset, below it.

    Raises:
        ValueError: If ``assignment`` is no map of 0, 1 and 2.
    """
    cells = array(assignment)
    if cells.ndim != 2 or not np.isin(cells, range(len(SUBSETS))).all():
        raise ValueError(
            'assignment must be a map (h, w) of 0 universum, 1 fake source '
            f'and 2 target, got shape {cells.shape} with values from '
            f'{cells.min(initial=0)} to {cells.max(initial=0)}.'
        )
    height, width = image.shape[:2]
    size = display_size(height, width, shortest, longest)
    shown = resize(np.ascontiguousarray(image), *size)
    flat = cv2.resize(
        _COLORS[cells], size[::-1], interpolation=cv2.INTER_NEAREST
    )
    drawn = cv2.addWeighted(shown, 1 - opacity, flat, opacity, 0)
    shares = np.bincount(cells.ravel(), minlength=3) / max(cells.size, 1)
    entries = [
        (f'{name} {100 * share:.0f}%', color)
        for name, share, color in zip(SUBSETS, shares.tolist(), _COLORS)
    ]
    return np.concatenate([drawn, _legend(entries, size[1])])


def _legend(
    entries: Sequence[Tuple[str, Any]], width: int, scale: float = 0.34
) -> np.ndarray:
    """Texts on patches of their colours, in as many lines as they need."""
    _, above, below = text_size('Ag', scale)
    line, gap = above + below + 6, 3
    places: List[Tuple[int, int]] = []
    x, y = gap, gap // 2
    for text, _ in entries:
        needed = text_size(text, scale)[0] + 4 + gap
        if x > gap and x + needed > width:
            x, y = gap, y + line
        places.append((x, y))
        x += needed
    bar = np.full((y + line, width, 3), 255, np.uint8)
    cv2.line(bar, (0, 0), (width, 0), BLACK, 1)
    for (text, color), place in zip(entries, places):
        draw_text(bar, text, place, rgb(color), scale)
    return bar
