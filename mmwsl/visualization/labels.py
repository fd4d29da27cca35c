"""Labels of objects that do not hide one another."""

from typing import Iterator, List, Optional, Sequence, Tuple

import numpy as np

from mmwsl.visualization.canvas import rgb
from mmwsl.visualization.caption import draw_text, shorten, text_size

Box = Tuple[int, int, int, int]


def write_labels(
    image: np.ndarray,
    texts: Sequence[str],
    boxes: np.ndarray,
    colors: np.ndarray,
    masks: Optional[Sequence[np.ndarray]] = None,
) -> None:
    """Write a label at each box, in place, where it hides no other label.

    Args:
        image (np.ndarray): (H, W, 3) uint8, RGB, contiguous; changed.
        texts (Sequence[str]): n labels, the most important one first.
        boxes (np.ndarray): (n, 4) of x1, y1, x2, y2 in pixels.
        colors (np.ndarray): (n, 3) uint8, RGB of the labels' patches.
        masks (Sequence[np.ndarray], optional): n times (H, W) bool, the
            objects themselves: a label rather lies on its own.
    """
    height, width = image.shape[:2]
    scale = label_scale(height, width)
    taken: List[Box] = []
    for index, box in enumerate(np.asarray(boxes)):
        text = shorten(texts[index], width - 4, scale)
        text_width, above, below = text_size(text, scale)
        size = (text_width + 5, above + below + 3)
        mask = None if masks is None else masks[index]
        places = [
            _inside(place, size, (width, height))
            for place in _places(box, size)
        ]
        # The nicest of the least hidden ones.
        best = min(
            places, key=lambda x: (_overlap(x, taken), _strangeness(x, mask))
        )
        taken.append(best)
        draw_text(image, text, best[:2], rgb(colors[index]), scale)


def label_scale(height: int, width: int) -> float:
    """Font scale of labels: smaller in small pictures, but readable."""
    return float(np.clip(max(height, width) / 1000, 0.33, 0.42))


def _places(box: np.ndarray, size: Tuple[int, int]) -> Iterator[List[int]]:
    """Upper left corners of a label, the nicest first."""
    x1, y1, x2, y2 = (int(round(float(value))) for value in box)
    width, height = size
    for y in (y1, y1 - height, y2 - height, y2):
        for share in (0, 0.5, 1, 0.25, 0.75):
            yield [round(x1 + share * (x2 - width - x1)), y]
    for step in range(1, 12):
        for y in (y1 + step * height, y1 - step * height):
            yield [x1, y]


def _strangeness(place: Box, mask: Optional[np.ndarray]) -> int:
    """How little of a label lies on its own object, in quarters."""
    if mask is None:
        return 0
    x1, y1, x2, y2 = place
    return round(4 * (1 - float(mask[y1:y2, x1:x2].mean())))


def _inside(
    place: Sequence[int], size: Tuple[int, int], limits: Tuple[int, int]
) -> Box:
    """Move a label into the picture; x1, y1, x2, y2."""
    x = max(0, min(place[0], limits[0] - size[0]))
    y = max(0, min(place[1], limits[1] - size[1]))
    return x, y, x + size[0], y + size[1]


def _overlap(box: Box, others: Sequence[Box]) -> int:
    """Area of a box that others cover, in pixels."""
    total = 0
    for x1, y1, x2, y2 in others:
        width = min(box[2], x2) - max(box[0], x1)
        height = min(box[3], y2) - max(box[1], y1)
        total += max(0, width) * max(0, height)
    return total
