"""Making saliency maps without a trained model.

Shape shorthand: (H, W) the image, S regions.
"""

from typing import Any, Dict, Tuple

import cv2
import numpy as np

from mmwsl.proposals.edges import edge_maps, to_lab
from mmwsl.proposals.superpixels import borders, superpixels
from mmwsl.saliency.background import (
    background_contrast,
    background_probability,
    geodesic_distances,
    settled_saliency,
    stretched,
)

# Raised when other maps come out of the same settings.
VERSION = 1


class SaliencyGenerator:
    """Finds what stands out from the background of an image.

    After "Saliency Optimization from Robust Background Detection" (CVPR
    2014), without anything learned:

    1. Superpixels of one colour.
    2. Background is what has strong ties to the border of the image.
    3. Contrast is how much a superpixel's colour differs from the background
       around it.
    4. The map that fits both and changes little between similar superpixels
       that touch, times a bell around the middle of the image.

    Same image, same map: nothing is random.

    Args:
        num_superpixels (int): S at most.
        pixels (tuple[int]): Images with fewer pixels than the first number
            are enlarged to it, those with more than the second shrunk to it;
            maps still have the size of the image.
        color_reach (float): CIELAB distance along a path over which regions
            are connected.
        bond_reach (float): CIELAB distance up to which neighbours are alike.
        background_weight (float): Weight of the background in step 4.
        center_reach (float): Standard deviation of the bell as a share of
            the image's width and height.

    Raises:
        ValueError: If a number is out of range.

    Example:
        >>> SaliencyGenerator()(cv2.imread('a.jpg')).shape
        (375, 500)
    """

    def __init__(
        self,
        num_superpixels: int = 300,
        pixels: Tuple[int, int] = (10000, 200000),
        color_reach: float = 6.0,
        bond_reach: float = 6.0,
        background_weight: float = 5.0,
        center_reach: float = 0.45,
    ) -> None:
        if num_superpixels < 2:
            raise ValueError(
                'SaliencyGenerator: num_superpixels must be at least 2, got '
                f'{num_superpixels}'
            )
        if not 0 < pixels[0] <= pixels[1]:
            raise ValueError(
                'SaliencyGenerator: pixels must be two ascending positive '
                f'numbers, got {pixels}'
            )
        self.num_superpixels = num_superpixels
        self.pixels = (int(pixels[0]), int(pixels[1]))
        self.weights = dict(
            color_reach=color_reach,
            bond_reach=bond_reach,
            background_weight=background_weight,
            center_reach=center_reach,
        )
        for name, value in self.weights.items():
            if not value > 0:
                raise ValueError(
                    f'SaliencyGenerator: {name} must be positive, got {value}'
                )

    @property
    def settings(self) -> Dict[str, Any]:
        """What the maps depend on, to be kept with them."""
        return dict(
            generator='robust background',
            version=VERSION,
            num_superpixels=self.num_superpixels,
            pixels=list(self.pixels),
            **self.weights,
        )

    def __call__(self, img: np.ndarray) -> np.ndarray:
        """Make the map of an image.

        Args:
            img (np.ndarray): BGR uint8 (H, W, 3).

        Returns:
            np.ndarray: float32 (H, W) in [0, 1]; 0 everywhere if the image
            has one colour alone.

        Raises:
            ValueError: If ``img`` is no colour image of 8 bits.
        """
        if img.ndim != 3 or img.shape[2] != 3 or img.dtype != np.uint8:
            raise ValueError(
                'SaliencyGenerator: the image must be uint8 (H, W, 3), got '
                f'{img.dtype} {img.shape}'
            )
        lab = to_lab(self._resized(img))
        labels = self._superpixels(self._resized(img), lab)
        saliency = self._saliency(labels, lab)[labels].astype(np.float32)
        height, width = img.shape[:2]
        if saliency.shape != (height, width):
            saliency = cv2.resize(saliency, (width, height))
        return np.clip(saliency, 0, 1)

    def _resized(self, img: np.ndarray) -> np.ndarray:
        height, width = img.shape[:2]
        pixels = np.clip(height * width, *self.pixels)
        factor = float(np.sqrt(pixels / (height * width)))
        if factor == 1:
            return img
        # Two regions need some pixels in each direction.
        size = [max(8, round(edge * factor)) for edge in (width, height)]
        kind = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        return cv2.resize(img, size, interpolation=kind)

    def _superpixels(self, img: np.ndarray, lab: np.ndarray) -> np.ndarray:
        return superpixels(img, lab, edge_maps(lab), self.num_superpixels)

    def _saliency(self, labels: np.ndarray, lab: np.ndarray) -> np.ndarray:
        """Return the saliency (S,) of the superpixels."""
        reach = self.weights
        number = int(labels.max()) + 1
        area = np.bincount(labels.reshape(-1), minlength=number)
        rim = np.bincount(
            np.concatenate(
                [labels[0], labels[-1], labels[:, 0], labels[:, -1]]
            ),
            minlength=number,
        )
        color, positions = _means(labels, lab, area)
        differences = np.linalg.norm(color[:, None] - color, axis=2)
        touch = _touching(labels, number)
        # All of the border is one neighbourhood: background goes on outside.
        at_rim = rim > 0
        step = touch | (at_rim[:, None] & at_rim)
        background = background_probability(
            geodesic_distances(np.where(step, differences, np.inf)),
            area,
            rim,
            reach['color_reach'],
        )
        contrast = background_contrast(
            differences, positions, background * area / area.sum(), 0.25
        )
        alike = np.exp(-(differences**2) / (2 * reach['bond_reach'] ** 2))
        # Those with a common neighbour, too.
        near = touch | (touch.astype(np.float32) @ touch > 0)
        np.fill_diagonal(near, False)
        settled = settled_saliency(
            contrast,
            reach['background_weight'] * background,
            near * alike + 0.1 * touch,
        )
        offset = ((positions - 0.5) ** 2).sum(axis=1)
        bell = np.exp(-offset / (2 * reach['center_reach'] ** 2))
        return stretched(settled * bell)


def _means(
    labels: np.ndarray, lab: np.ndarray, area: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    """Mean colours (S, 3) and centres (S, 2) as shares of the size."""
    height, width = labels.shape
    y, x = np.divmod(np.arange(labels.size), width)
    flat = labels.reshape(-1)
    planes = [*np.moveaxis(lab, 2, 0), (y + 0.5) / height, (x + 0.5) / width]
    means = [
        np.bincount(flat, plane.reshape(-1), len(area)) / area
        for plane in planes
    ]
    return np.stack(means[:3], axis=1), np.stack(means[3:], axis=1)


def _touching(labels: np.ndarray, number: int) -> np.ndarray:
    """Whether two different superpixels touch, bool (S, S)."""
    found = borders(labels, np.zeros((1, *labels.shape)))
    touch = np.zeros((number, number), dtype=bool)
    touch[found.first, found.second] = True
    touch[found.second, found.first] = True
    return touch
