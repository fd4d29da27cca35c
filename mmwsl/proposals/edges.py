"""How likely the outline of something runs through a pixel.

(H, W): size of the image, (h, w): half of it. Q: number of histogram bins.
"""

from typing import List, NamedTuple, Tuple

import cv2
import numpy as np

# The values of L, a and b that most pixels of photographs have.
_RANGES = ((0, 100), (-30, 42), (-30, 42))
_NUM_ORIENTATIONS = 8
_NUM_GRADIENT_DIRECTIONS = 8
# Lightness steps a pixel; below the first one a pixel is flat.
_WEAK_GRADIENT, _STRONG_GRADIENT = 2, 6
NUM_TEXTURES = 1 + 2 * _NUM_GRADIENT_DIRECTIONS


class EdgeMaps(NamedTuple):
    """Two float32 (H, W) maps of about 0 to 1.

    Attributes:
        step: Size of the step between neighbouring pixels: sharp outlines.
        region: How much the colours and textures of two half discs around a
            pixel differ: outlines between textures, blurred ones too.
    """

    step: np.ndarray
    region: np.ndarray


def to_lab(img: np.ndarray) -> np.ndarray:
    """Turn BGR uint8 (H, W, 3) into CIELAB float32 (H, W, 3)."""
    return cv2.cvtColor(img.astype(np.float32) / 255, cv2.COLOR_BGR2Lab)


def scaled_lab(lab: np.ndarray) -> np.ndarray:
    """Stretch each channel to the range that photographs use, 0 to 1.

    Args:
        lab (np.ndarray): CIELAB float32 (H, W, 3).
    """
    low, high = np.array(_RANGES, dtype=np.float32).T
    return np.clip((lab - low) / (high - low), 0, 1)


def texture_codes(lightness: np.ndarray) -> np.ndarray:
    """Sort pixels by direction and strength of the finest gradient.

    Args:
        lightness (np.ndarray): float32 (H, W), 0 to 100.

    Returns:
        np.ndarray: int64 (H, W), 0 flat, then strong and weak gradients of
        eight directions each.
    """
    across, down = _gradient(lightness, 1.0)
    size = np.hypot(across, down)
    turn = np.arctan2(down, across) / (2 * np.pi)
    direction = np.floor(turn * _NUM_GRADIENT_DIRECTIONS).astype(np.int64)
    direction %= _NUM_GRADIENT_DIRECTIONS
    weak = np.where(size > _WEAK_GRADIENT, 9 + direction, 0)
    return np.where(size > _STRONG_GRADIENT, 1 + direction, weak)


def edge_maps(lab: np.ndarray) -> EdgeMaps:
    """Measure both kinds of edges.

    Args:
        lab (np.ndarray): CIELAB float32 (H, W, 3).
    """
    step = np.minimum(_step_size(lab, 1.0) / 20, 1)
    step += np.minimum(_step_size(lab, 2.0) / 15, 1)
    return EdgeMaps(step / 2, _region_contrast(lab))


def _gradient(
    planes: np.ndarray, sigma: float
) -> Tuple[np.ndarray, np.ndarray]:
    smooth = cv2.GaussianBlur(planes, (0, 0), sigma)
    across = cv2.Scharr(smooth, cv2.CV_32F, 1, 0) / 32
    return across, cv2.Scharr(smooth, cv2.CV_32F, 0, 1) / 32


def _step_size(lab: np.ndarray, sigma: float) -> np.ndarray:
    across, down = _gradient(lab, sigma)
    size: np.ndarray = np.sqrt((across**2 + down**2).sum(axis=2))
    return size


def _region_contrast(lab: np.ndarray) -> np.ndarray:
    """Compare half discs at half the size, which suffices for their size."""
    height, width = lab.shape[:2]
    half = (max(width // 2, 1), max(height // 2, 1))
    # OpenCV shrinks at most four channels at once.
    smooth = cv2.GaussianBlur(lab, (0, 0), 0.8)
    small = scaled_lab(cv2.resize(smooth, half, interpolation=cv2.INTER_AREA))
    colors = []
    for channel in np.moveaxis(small, 2, 0):
        # Soft bins: a slow change of colour is no edge anywhere.
        places = (
            channel[None] * 7 - np.arange(8, dtype=np.float32)[:, None, None]
        )
        colors.extend(np.maximum(0, 1 - np.abs(places)))
    codes = texture_codes(lab[..., 0])
    textures = [
        cv2.resize(
            (codes == code).astype(np.float32),
            half,
            interpolation=cv2.INTER_AREA,
        )
        for code in range(NUM_TEXTURES)
    ]
    contrast = _half_disc_contrast(colors, 5) / 3
    contrast += 0.5 * _half_disc_contrast(textures, 8)
    # Twice: two halves that share no colour are rare.
    largest = 2 * contrast.max(axis=0)
    return cv2.resize(largest, (width, height))


def _half_disc_contrast(planes: List[np.ndarray], radius: int) -> np.ndarray:
    """Half the L1 distance of the histograms of two half discs.

    Args:
        planes (list[np.ndarray]): Q float32 (h, w), share of each bin in
            each pixel.
        radius (int): Of the discs, in pixels.

    Returns:
        np.ndarray: float32 (orientations, h, w), 0 to the number of
        histograms that the planes form.
    """
    reach = np.arange(-radius, radius + 1)
    disc = reach[:, None] ** 2 + reach**2 <= radius * (radius + 0.5)
    contrasts = np.zeros(
        (_NUM_ORIENTATIONS, *planes[0].shape), dtype=np.float32
    )
    for number, contrast in enumerate(contrasts):
        angle = np.pi * number / _NUM_ORIENTATIONS
        side = reach * np.cos(angle) + reach[:, None] * np.sin(angle)
        # Rounded, so that the middle line is on neither side.
        kernel = disc * np.sign(side.round(6))
        kernel = (kernel / (kernel > 0).sum()).astype(np.float32)
        for plane in planes:
            contrast += np.abs(
                cv2.filter2D(plane, -1, kernel, borderType=cv2.BORDER_REFLECT)
            )
    return contrasts / 2
