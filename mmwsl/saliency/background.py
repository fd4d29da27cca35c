"""What belongs to the background of an image, and what stands out from it.

"Saliency Optimization from Robust Background Detection" (CVPR 2014), on
regions of any size.

Shape shorthand: S regions.
"""

import numpy as np


def geodesic_distances(steps: np.ndarray) -> np.ndarray:
    """Find the length of the shortest path between any two regions.

    Args:
        steps (np.ndarray): (S, S), the length of a direct step, infinite
            where there is none.

    Returns:
        np.ndarray: (S, S), by Floyd's and Warshall's algorithm.
    """
    lengths = steps.copy()
    np.fill_diagonal(lengths, 0)
    for middle in range(len(lengths)):
        detour = lengths[:, middle, None] + lengths[None, middle]
        np.minimum(lengths, detour, out=lengths)
    return lengths


def background_probability(
    distances: np.ndarray,
    area: np.ndarray,
    rim: np.ndarray,
    reach: float,
    spread: float = 1.0,
) -> np.ndarray:
    """Guess from its ties to the image's border what is background.

    A region and what is softly connected to it has an area and a length
    along the border; the length over the root of the area, the boundary
    connectivity, is large for background and small for an object, also for
    one that the border cuts off (Eqs. 1 to 5 of the paper). Being a length
    over a length it needs no regions of equal size.

    Args:
        distances (np.ndarray): (S, S), see :func:`geodesic_distances`.
        area (np.ndarray): (S,) in pixels.
        rim (np.ndarray): (S,), pixels at the border of the image.
        reach (float): Distance over which regions are connected.
        spread (float): Boundary connectivity that means background.

    Returns:
        np.ndarray: (S,) in [0, 1].
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
    """Measure how much regions differ from the background around them.

    Eq. 6 of the paper.

    Args:
        differences (np.ndarray): (S, S), how different regions look.
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
    """Find the map that fits contrast, background and neighbours best.

    The minimum, a linear system, of the sum of ``background s^2``,
    ``contrast (s - 1)^2`` and, over pairs, ``bonds (s - s')^2`` (Eq. 9).

    Args:
        contrast (np.ndarray): (S,), pull to 1.
        background (np.ndarray): (S,), pull to 0.
        bonds (np.ndarray): (S, S), symmetric, pull to each other.

    Returns:
        np.ndarray: (S,) in [0, 1].
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
