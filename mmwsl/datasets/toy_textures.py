"""A bank of grey textures that the toy data is cut from.

Only sums, products and roundings of numpy's seeded integers go into it, so
every process and platform has the same bank. S: side of a tile.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

NUM_FAMILIES = 4
NUM_PATTERNS = 4


class TextureBank(NamedTuple):
    """Tiles to cut from.

    Attributes:
        clouds (np.ndarray): uint8 (6, S, S), fractal noise.
        bodies (np.ndarray): uint8 (NUM_FAMILIES, S, S), the texture families
            grain, blotches, wood and cells.
        patterns (np.ndarray): uint8 (NUM_PATTERNS, S, S) of 0 and 255: the
            bold patterns plain, stripes, checks and dots.
        grain (np.ndarray): int16 (S, S, 3), sensor noise of about 5 levels.
    """

    clouds: np.ndarray
    bodies: np.ndarray
    patterns: np.ndarray
    grain: np.ndarray


@lru_cache(maxsize=2)
def texture_bank(size: int) -> TextureBank:
    """Build the bank for pictures of at most ``size`` / 2 pixels a side.

    Args:
        size (int): S.
    """
    rng = np.random.Generator(np.random.PCG64(20170))
    clouds = [_fractal(rng, size, 4, 5) for _ in range(6)]
    fine = _fractal(rng, size, size // 8, 2)
    smooth = _fractal(rng, size, size // 16, 2)
    warp = _fractal(rng, size, 8, 2).astype(np.float64) / 255
    ramp = np.arange(size) / size
    # Triangle waves of a warped coordinate look like wood.
    phase = (ramp[None] * (size // 8) + 3 * warp) % 1
    wood = np.abs(2 * phase - 1) * 255
    cells = np.minimum(np.abs(smooth.astype(np.int64) - 128) * 4, 255)
    blotches = np.where(smooth > 128, 200, 60) + (fine // 8)
    bodies = np.stack([fine, blotches, wood, cells]).astype(np.uint8)
    grain = rng.integers(-8, 9, size=(size, size, 3), dtype=np.int16)
    return TextureBank(np.stack(clouds), bodies, _patterns(size), grain)


def _patterns(size: int) -> np.ndarray:
    """Draw the bold patterns, with periods of 4 to 6 pixels."""
    rows, columns = np.mgrid[:size, :size]
    plain = np.ones((size, size), dtype=bool)
    stripes = rows // 2 % 2 == 0
    checks = (rows // 3 + columns // 3) % 2 == 0
    dots = (rows % 5 < 2) & (columns % 5 < 2)
    stacked = np.stack([plain, stripes, checks, ~dots])
    return (stacked * 255).astype(np.uint8)


def _fractal(
    rng: np.random.Generator, size: int, cells: int, octaves: int
) -> np.ndarray:
    """Sum octaves of smooth noise, each half as strong: uint8 (S, S)."""
    total = np.zeros((size, size))
    for octave in range(octaves):
        count = min(cells * 2**octave, size)
        total += _value_noise(rng, size, count) / 2**octave
    low, high = total.min(), total.max()
    return np.round((total - low) / (high - low) * 255).astype(np.uint8)


def _value_noise(
    rng: np.random.Generator, size: int, cells: int
) -> np.ndarray:
    """Interpolate a periodic grid of random numbers smoothly: (S, S)."""
    grid = rng.integers(0, 256, size=(cells, cells)).astype(np.float64)
    position = np.arange(size) * cells / size
    left = position.astype(np.int64)
    share = position - left
    share = share * share * (3 - 2 * share)
    right = (left + 1) % cells
    rows = grid[left] * (1 - share[:, None]) + grid[right] * share[:, None]
    return rows[:, left] * (1 - share) + rows[:, right] * share
