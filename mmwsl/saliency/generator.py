"""Making saliency maps without a trained model.

"Saliency Optimization from Robust Background Detection" (CVPR 2014), on
regions of any size.

(H, W): the image, S: its regions. Of each region there are an area and a
length along the border of the image (rim) in pixels, (S,), and of each pair
how different their colours are, (S, S).
"""

from typing import Any, Dict, Tuple

import cv2
import numpy as np

from mmwsl.proposals.regions import (
    borders,
    edge_maps,
    resize_within,
    rim_lengths,
    superpixels,
    to_lab,
)

# Raised when other maps come out of the same settings.
VERSION = 1
# Distance over which contrast counts, as a share of the image's size.
_CONTRAST_REACH = 0.25


class SaliencyGenerator:
    """Finds what stands out from the background of an image.

    As the paper does, without anything learned:

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
        name = type(self).__name__
        if num_superpixels < 2:
            raise ValueError(
                f'{name}: num_superpixels must be at least 2, got '
                f'{num_superpixels}'
            )
        if not 0 < pixels[0] <= pixels[1]:
            raise ValueError(
                f'{name}: pixels must be two ascending positive numbers, got '
                f'{pixels}'
            )
        self.num_superpixels = num_superpixels
        self.pixels = (int(pixels[0]), int(pixels[1]))
        self.weights = dict(
            color_reach=color_reach,
            bond_reach=bond_reach,
            background_weight=background_weight,
            center_reach=center_reach,
        )
        for key, value in self.weights.items():
            if not value > 0:
                raise ValueError(
                    f'{name}: {key} must be positive, got {value}'
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
        small = resize_within(img, self.pixels)
        lab = to_lab(small)
        labels = superpixels(small, lab, edge_maps(lab), self.num_superpixels)
        saliency = self._saliency(labels, lab)[labels].astype(np.float32)
        height, width = img.shape[:2]
        if saliency.shape != (height, width):
            saliency = cv2.resize(saliency, (width, height))
        return np.clip(saliency, 0, 1)

    def _saliency(self, labels: np.ndarray, lab: np.ndarray) -> np.ndarray:
        """Return the saliency (S,) of the superpixels."""
        reach = self.weights
        area, rim = np.bincount(labels.reshape(-1)), rim_lengths(labels)
        color, positions = _means(labels, lab, area)
        differences = np.linalg.norm(color[:, None] - color, axis=2)
        found = borders(labels, np.zeros((1, *labels.shape)))
        touch = np.zeros(differences.shape, dtype=bool)
        touch[found.first, found.second] = True
        touch |= touch.T
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
            differences,
            positions,
            background * area / area.sum(),
            _CONTRAST_REACH,
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


def geodesic_distances(steps: np.ndarray) -> np.ndarray:
    """Find the length of the shortest path between any two regions.

    Args:
        steps (np.ndarray): (S, S), the length of a direct step, infinite
            where there is none.

    Returns:
        np.ndarray: (S, S), to about 1e-4.
    """
    from scipy.sparse.csgraph import floyd_warshall

    # There, a step of no length is none.
    lengths: np.ndarray = floyd_warshall(np.maximum(steps, 1e-6))
    return lengths


def background_probability(
    distances: np.ndarray,
    area: np.ndarray,
    rim: np.ndarray,
    reach: float,
    spread: float = 1.0,
) -> np.ndarray:
    """Guess from its ties to the image's border what is background: (S,).

    A region and what is softly connected to it, over a distance of about
    ``reach``, has an area and a rim; the rim over the root of the area, the
    boundary connectivity, is large for background and small for an object,
    also for one that the border cuts off (Eqs. 1 to 5). Being a length over
    a length it needs no regions of equal size. ``spread`` is a connectivity
    that means background.
    """
    tied = np.exp(-(distances**2) / (2 * reach**2))
    connectivity = (tied @ rim) / np.sqrt(tied @ area)
    probability: np.ndarray = 1 - np.exp(-(connectivity**2) / (2 * spread**2))
    return probability


def background_contrast(
    differences: np.ndarray,
    positions: np.ndarray,
    weights: np.ndarray,
    reach: float,
) -> np.ndarray:
    """Measure how regions differ from the background around them (Eq. 6).

    Args:
        differences (np.ndarray): (S, S).
        positions (np.ndarray): (S, 2), centres as shares of the image's size.
        weights (np.ndarray): (S,), background probability times area.
        reach (float): How far apart regions still compare.

    Returns:
        np.ndarray: (S,), from 0 to 1, or 0 where all regions look the same.
    """
    squares = (positions[:, None] - positions[None]) ** 2
    near = np.exp(-squares.sum(axis=2) / (2 * reach**2))
    return stretched((differences * near) @ weights)


def settled_saliency(
    contrast: np.ndarray, background: np.ndarray, bonds: np.ndarray
) -> np.ndarray:
    """Find the map that fits contrast, background and neighbours best: (S,).

    The minimum, a linear system, of the sum of ``background s^2``,
    ``contrast (s - 1)^2`` and, over pairs, ``bonds (s - s')^2`` (Eq. 9).
    """
    # Regions that nothing pulls anywhere are not salient.
    pulls = np.maximum(contrast + background, 1e-6) + bonds.sum(axis=1)
    solved = np.linalg.solve(np.diag(pulls) - bonds, contrast)
    saliency: np.ndarray = np.clip(solved, 0, 1)
    return saliency


def stretched(values: np.ndarray) -> np.ndarray:
    """Scale to 0 to 1; equal values become 0."""
    low, high = values.min(), values.max()
    # Rounding errors of equal values are no contrast.
    if high - low <= 1e-6 * max(abs(high), 1):
        return np.zeros_like(values)
    scaled: np.ndarray = (values - low) / (high - low)
    return scaled
