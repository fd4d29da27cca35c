"""What the tiles of one image are drawn on."""

from typing import Any, NamedTuple, Optional, Sequence, Tuple

import numpy as np

# Twenty colours that are told apart at a glance, the farthest apart first; the
# colours of classes do not serve, because instances of one class differ.
_INSTANCE_COLORS = (
    (235, 30, 60),
    (60, 200, 90),
    (255, 225, 25),
    (80, 150, 255),
    (255, 130, 20),
    (160, 60, 230),
    (70, 240, 240),
    (255, 60, 170),
    (250, 190, 212),
    (0, 110, 110),
    (190, 245, 60),
    (220, 190, 255),
    (140, 80, 20),
    (255, 250, 200),
    (120, 20, 40),
    (170, 255, 195),
    (130, 130, 0),
    (255, 200, 150),
    (40, 40, 170),
    (160, 160, 160),
)


class Canvas(NamedTuple):
    """An image at display size, and how to name and colour its classes.

    Attributes:
        image (np.ndarray): (h, w, 3) uint8, RGB, at display size.
        scale (float): Display size through original size.
        classes (Sequence[str]): Names of the classes, perhaps none.
        palette (Sequence, optional): RGB of the classes.
    """

    image: np.ndarray
    scale: float = 1.0
    classes: Sequence[str] = ()
    palette: Optional[Sequence[Sequence[int]]] = None

    def name(self, label: int) -> str:
        """The name of a class, or its number."""
        if label < len(self.classes):
            return self.classes[label]
        return f'class {label}'


def instance_colors(count: int) -> np.ndarray:
    """RGB colours of the instances of an image, (count, 3) uint8.

    Twenty distinct ones, then again from the start.
    """
    colors = np.array(_INSTANCE_COLORS, np.uint8)
    return colors[np.arange(count) % len(colors)]


def rgb(color: Any) -> Tuple[int, int, int]:
    """A colour as OpenCV takes it: a tuple of Python's integers."""
    red, green, blue = (int(value) for value in color)
    return red, green, blue


def more(left_out: int) -> str:
    """What a caption says of things that are not shown: ' (+5 more)'."""
    return f' (+{left_out} more)' if left_out > 0 else ''
