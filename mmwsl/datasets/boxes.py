"""What boxes of an image must be like."""

from typing import Tuple

import numpy as np


def check_boxes(
    boxes: np.ndarray,
    size: Tuple[int, int],
    outside: bool = True,
    margin: float = 0.0,
) -> None:
    """Refuse boxes that no image can have.

    Args:
        boxes (np.ndarray): (G, 4).
        size (tuple[int]): Height H and width W of the image.
        outside (bool): Whether a box must lie in 0..W and 0..H.
        margin (float): By how many pixels it may leave them.

    Raises:
        ValueError: If a box is not finite, inverted or, with ``outside``,
            not inside the image.
    """
    height, width = size
    for box in np.asarray(boxes, dtype=np.float64).reshape(-1, 4).tolist():
        left, top, right, bottom = box
        text = ', '.join(f'{edge:g}' for edge in box)
        if not np.isfinite(box).all():
            raise ValueError(f'box ({text}) is not finite')
        if left > right or top > bottom:
            raise ValueError(f'box ({text}) is inverted')
        over = max(-min(box), right - width, bottom - height)
        if outside and over > margin:
            raise ValueError(
                f'box ({text}) is outside the image, which is {width} x '
                f'{height}'
            )
