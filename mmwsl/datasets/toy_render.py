"""Drawing a toy picture from its scene.

S: side of the bank's tiles, (H, W): size of the picture.
"""

import colorsys
from typing import Tuple

import cv2
import numpy as np

from mmwsl.datasets.toy_scene import Placed, ToyScene
from mmwsl.datasets.toy_style import NUM_HUES, ToyStyle
from mmwsl.datasets.toy_textures import (
    NUM_PATTERNS,
    TextureBank,
    texture_bank,
)

# 70 % of a grey value; a ramp of at most 75 is added to it.
_CLOUD_TABLE = (np.arange(256) * 7 // 10).astype(np.uint8)
_RAMP = np.arange(256)[:, None] / 255


def render(
    rng: np.random.Generator,
    scene: ToyScene,
    style: ToyStyle,
    num_classes: int,
) -> np.ndarray:
    """Draw a picture.

    Args:
        rng (np.random.Generator): The source of chance.
        scene (ToyScene): What to draw.
        style (ToyStyle): The constants.
        num_classes (int): Number of classes; they share the circle of hues.

    Returns:
        np.ndarray: uint8 (H, W, 3), BGR.
    """
    size = scene.owner.shape[0]
    bank = texture_bank(max(256, 2 * size))
    img = _background(rng, bank, size)
    for placed in scene.objects:
        _draw_body(rng, bank, img, placed)
        _draw_head(rng, bank, style, img, placed, num_classes)
    noise = _cut(rng, bank.grain, size, size)
    return cv2.add(img, np.ascontiguousarray(noise), dtype=cv2.CV_8U)


def _background(
    rng: np.random.Generator, bank: TextureBank, size: int
) -> np.ndarray:
    """Blend noise, a light gradient and patches of a second material."""
    first, second, third = rng.integers(len(bank.clouds), size=3)
    cloud = _cut(rng, bank.clouds[first], size, size)
    where = _cut(rng, bank.clouds[second], size, size)
    light = (np.arange(size) * 76 // size).astype(np.uint8)
    value = _CLOUD_TABLE[cloud] + light[:, None]
    img = _table(_dull_colors(rng, 3, 0.05, 0.3))[value]
    other = _cut(rng, bank.clouds[third], size, size)
    patches = where > int(rng.integers(110, 190))
    table = _table(_dull_colors(rng, 2, 0.05, 0.3))
    img[patches] = table[other[patches]]
    return img


def _draw_body(
    rng: np.random.Generator,
    bank: TextureBank,
    img: np.ndarray,
    placed: Placed,
) -> None:
    top, bottom, left, right = placed.box
    tile = bank.bodies[placed.item.texture]
    value = _cut(rng, tile, bottom - top, right - left)
    numbers = rng.random(4)
    hue = (placed.item.hue + 0.6 * (numbers[0] - 0.5)) / NUM_HUES
    saturation = 0.2 + 0.3 * numbers[1]
    light = 0.45 + 0.45 * numbers[2]
    contrast = 0.35 + 0.4 * numbers[3]
    table = _table(
        np.array(
            [
                _bgr(hue, saturation, light * (1 - contrast)),
                _bgr(hue, saturation, light),
            ]
        )
    )
    mask = placed.mask
    img[top:bottom, left:right][mask] = table[value[mask]]


def _draw_head(
    rng: np.random.Generator,
    bank: TextureBank,
    style: ToyStyle,
    img: np.ndarray,
    placed: Placed,
    num_classes: int,
) -> None:
    top, bottom, left, right = placed.box
    label = placed.item.label
    tile = bank.patterns[label % NUM_PATTERNS]
    value = _cut(rng, tile, bottom - top, right - left)
    numbers = rng.random(3)
    hue = label / num_classes + style.hue_jitter * (2 * numbers[0] - 1)
    strong = _bgr(hue, 0.8 + 0.2 * numbers[1], 0.75 + 0.25 * numbers[2])
    # Every other class pairs its colour with black instead of white.
    weak = (20.0, 20.0, 20.0) if label % 2 else (235.0, 235.0, 235.0)
    table = _table(np.array([weak, strong]))
    head = placed.head
    img[top:bottom, left:right][head] = table[value[head]]


def _cut(
    rng: np.random.Generator, tile: np.ndarray, height: int, width: int
) -> np.ndarray:
    """Cut a random window, randomly mirrored, out of a tile."""
    row, column, mirror = rng.integers(
        (tile.shape[0] - height + 1, tile.shape[1] - width + 1, 4)
    ).tolist()
    window = tile[row : row + height, column : column + width]
    if mirror & 1:
        window = window[:, ::-1]
    if mirror & 2:
        window = window[::-1]
    return window


def _table(colors: np.ndarray) -> np.ndarray:
    """Interpolate colours (k, 3) over the grey values: uint8 (256, 3)."""
    if len(colors) == 2:
        mixed = colors[0] + _RAMP * (colors[1] - colors[0])
    else:
        half = _table(colors[:2])[::2], _table(colors[1:])[::2]
        return np.concatenate(half)
    return (mixed + 0.5).astype(np.uint8)


def _dull_colors(
    rng: np.random.Generator, number: int, low: float, high: float
) -> np.ndarray:
    """Draw colours (number, 3) of low saturation."""
    draws = rng.random((number, 3)).tolist()
    return np.array(
        [
            _bgr(hue, low + (high - low) * grey, 0.25 + 0.65 * light)
            for hue, grey, light in draws
        ]
    )


def _bgr(hue: float, saturation: float, value: float) -> Tuple[float, ...]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return 255 * blue, 255 * green, 255 * red
