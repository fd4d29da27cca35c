"""Several images in one picture."""

from typing import List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

from mmwsl.visualization.caption import (
    BLACK,
    Color,
    caption,
    corner_note,
)


class Tile(NamedTuple):
    """An image (H, W, 3), RGB, with what is written above it."""

    image: np.ndarray
    text: str
    color: Color = BLACK
    keep_end: bool = False


def note_left_out(tiles: Sequence[Tile], left_out: int) -> List[Tile]:
    """Say in the last tile how many more there would be."""
    result = list(tiles)
    if result and left_out > 0:
        image = corner_note(result[-1].image, f'+{left_out} more')
        result[-1] = result[-1]._replace(image=image)
    return result


def display_size(
    height: int, width: int, shortest: int = 224, longest: int = 512
) -> Tuple[int, int]:
    """Size at which an image is shown, its proportions kept.

    The shorter side is brought to at least ``shortest``, but the longer one
    to at most ``longest``, which goes first; each is at least 1.
    """
    scale = max(1.0, shortest / min(height, width))
    scale = min(scale, longest / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize an image without aliasing when it shrinks."""
    shrinks = height * width < image.shape[0] * image.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=how)


def letterbox(
    image: np.ndarray, height: int, width: int, background: int = 255
) -> np.ndarray:
    """Fit an image into the middle of a field of one grey value.

    Args:
        image (np.ndarray): (h, w, 3) uint8.
        height (int): Of the result.
        width (int): Of the result.
        background (int): Grey value of the margins.

    Returns:
        np.ndarray: (height, width, 3) uint8.
    """
    scale = min(height / image.shape[0], width / image.shape[1])
    size = [max(1, round(side * scale)) for side in image.shape[:2]]
    result = np.full((height, width, 3), background, np.uint8)
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    field = result[top : top + size[0], left : left + size[1]]
    field[:] = resize(image, size[0], size[1])
    return result


def tile_images(
    images: Sequence[np.ndarray],
    columns: Optional[int] = None,
    gap: int = 4,
    background: int = 255,
) -> np.ndarray:
    """Arrange images in rows, each at the upper left of its cell.

    Args:
        images (Sequence[np.ndarray]): (h, w, 3) uint8, of any sizes.
        columns (int, optional): Images in a row; None for one row.
        gap (int): Pixels between cells.
        background (int): Grey value of gaps and empty places.

    Returns:
        np.ndarray: (H, W, 3) uint8; column widths and row heights are those
        of the largest image in them.

    Raises:
        ValueError: If there is no image.
    """
    if not images:
        raise ValueError('no image to arrange')
    columns = min(columns or len(images), len(images))
    rows = [images[i : i + columns] for i in range(0, len(images), columns)]
    heights = [max(image.shape[0] for image in row) for row in rows]
    widths = [
        max(image.shape[1] for image in images[i::columns])
        for i in range(columns)
    ]
    size = (sum(heights) + gap * (len(rows) - 1), sum(widths), 3)
    canvas = np.full(
        (size[0], size[1] + gap * (columns - 1), 3), background, np.uint8
    )
    y = 0
    for row, height in zip(rows, heights):
        x = 0
        for image, width in zip(row, widths):
            canvas[y : y + image.shape[0], x : x + image.shape[1]] = image
            x += width + gap
        y += height + gap
    return canvas


def panel(tiles: Sequence[Tile], columns: int = 5) -> np.ndarray:
    """One picture of captioned tiles.

    Args:
        tiles (Sequence[Tile]): What to show.
        columns (int): Most tiles in a row.

    Returns:
        np.ndarray: (H, W, 3) uint8, RGB.
    """
    images = [
        caption(x.image, x.text, x.color, keep_end=x.keep_end) for x in tiles
    ]
    return tile_images(images, columns)


def contact_sheet(
    rows: Sequence[Sequence[Tile]],
    cell: Tuple[int, int] = (160, 208),
    max_tiles: int = 8,
) -> np.ndarray:
    """Many images in one picture: a row of small tiles for each.

    Args:
        rows (Sequence[Sequence[Tile]]): The tiles of each image.
        cell (tuple): Height and width of a tile.
        max_tiles (int): Most tiles in a row; the last one says how many
            more there are.

    Returns:
        np.ndarray: (H, W, 3) uint8, RGB.
    """
    strips = []
    for tiles in rows:
        small = [
            x._replace(image=letterbox(x.image, *cell))
            for x in tiles[:max_tiles]
        ]
        small = note_left_out(small, len(tiles) - len(small))
        strips.append(panel(small, max_tiles))
    return tile_images(strips, columns=1, gap=6)
