"""How far the pixels of an image lie from one another.

Shape shorthand: P pixels, d features.
"""

from typing import Tuple

import numpy as np
import torch
from torch import Tensor

# Below this share of the mean square a variance is found from differences.
MIN_VARIANCE = 0.1
# So many bytes of features stay in a core's cache between two steps.
PART_BYTES = 2**20


class PixelSpread:
    """How far pixels lie from zero and from their mean p.

    Args:
        points: (d, P), in any memory layout.

    Attributes:
        longest: The length of the longest pixel.
    """

    def __init__(self, points: Tensor) -> None:
        self.points = points
        self.mean = points.mean(dim=1)
        self.squares = torch.linalg.vector_norm(points, dim=0).square()
        self.longest = float(self.squares.max()) ** 0.5
        whole = float(self.squares.mean())
        self.variance = whole - float(self.mean.square().sum())
        # Whether distances have digits enough if they are taken from zero.
        self.wide = self.variance > MIN_VARIANCE * whole
        if not self.wide:
            self.squares = _squared_distances(points, self.mean)
            self.variance = float(self.squares.mean())

    def mean_variance(self) -> float:
        """Return the variance over the pixels, averaged over features."""
        return self.variance / len(self.points)

    def around(self) -> Tuple[Tensor, np.ndarray, float]:
        """Return an origin (d,), zero or p, and how far pixels lie from it.

        The latter as squared distances (P,) with the size that rounding
        alone gives to one.
        """
        origin = torch.zeros_like(self.mean) if self.wide else self.mean
        eps = torch.finfo(origin.dtype).eps
        offset = float(origin.norm())
        scale = float(self.squares.max()) ** 0.5 + 8 * eps * offset
        rounding = 16 * eps * scale * (scale + offset)
        return origin, self.squares.numpy(), rounding


def _squared_distances(points: Tensor, origin: Tensor) -> Tensor:
    """Return the squared distances (P,) of pixels (d, P) to ``origin``."""
    pixels = points.T
    size = max(1, PART_BYTES // (len(origin) * origin.element_size()))
    buffer = pixels.new_empty(min(size, len(pixels)), len(origin))
    distances = [
        torch.linalg.vector_norm(
            torch.sub(part, origin, out=buffer[: len(part)]), dim=1
        )
        for part in pixels.split(size)
    ]
    return torch.cat(distances).square()
