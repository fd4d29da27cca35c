"""Lloyd's rounds on the CPU, image by image.

An image that fits into the cache is read from memory only once, none has to
wait for another, and only pixels that change their cluster are added up.
Torch makes the passes over the pixels. What is left of a round are dozens of
steps on small arrays, which NumPy starts faster. Where rounding could decide
between centres or pixels, differences are squared in double precision, so
that of equal ones it is the first that counts.

Shape shorthand: P pixels, d features, K clusters.
"""

from typing import Tuple

import numpy as np
import torch
from torch import Tensor

# Sums are updated if at most one in so many pixels has moved.
RARE = 8
# So many bytes of features stay in a core's cache between two steps.
PART_BYTES = 2**20


def cluster_one(
    points: Tensor, centers: Tensor, max_rounds: int, tolerance: float
) -> Tuple[Tensor, Tensor]:
    """Cluster the pixels of one image; see ``k_means`` for the rules.

    Args:
        points: (d, P), in any memory layout.
        centers: Initial centres (K, d).
        max_rounds: Limit of the rounds.
        tolerance: Relative squared shift of the centres.

    Returns:
        Labels (P,) and centres (K, d).
    """
    points = points.detach()
    origin = points.mean(dim=1)
    spread = _spread(points, origin)
    limit = tolerance * float(spread.mean()) / len(points)
    # As torch does, NumPy shall pass over what is infinite or missing.
    with np.errstate(all='ignore'):
        found, moved = _rounds(
            points, centers, origin, spread.numpy(), max_rounds, limit
        )
    return torch.from_numpy(found), torch.from_numpy(moved)


def _rounds(
    points: Tensor,
    start: Tensor,
    origin: Tensor,
    spread: np.ndarray,
    max_rounds: int,
    limit: float,
) -> Tuple[np.ndarray, np.ndarray]:
    scores = _Scores(points, origin, len(start), float(spread.max()))
    sums = _Sums(points, len(start))
    rounding = _rounding(spread, origin)
    centers = start.detach().numpy()
    labels = np.full(points.shape[1], -1)
    for _ in range(max_rounds):
        found = scores.nearest(centers)
        changed = np.flatnonzero(found != labels)
        total, counts = sums.update(labels, found, changed)
        labels = found
        if not counts.all():
            distances = spread + scores.best()
            if distances.max() > rounding:
                total, counts = total.copy(), counts.copy()
                slack = 2 * scores.slack + rounding
                _sharpen(distances, points, centers[labels], slack)
                _relocate(points.numpy(), labels, distances, total, counts)
            total = np.where(counts[:, None] == 0, centers, total)
        sizes = np.maximum(counts, 1).astype(total.dtype)
        old, centers = centers, total / sizes[:, None]
        if not len(changed):
            return labels, centers
        shift = centers - old
        if np.vdot(shift, shift) <= limit:
            break
    return scores.nearest(centers), centers


class _Scores:
    """Scores ``|x - c|^2 - |x - p|^2`` of pixels, with p their mean.

    They are ``|e|^2 - 2 (x - p) e`` with ``e = c - p``, which keeps most
    digits.

    Attributes:
        slack: By how much the scores just found may be wrong.
    """

    def __init__(
        self, points: Tensor, origin: Tensor, number: int, spread: float
    ) -> None:
        self.points = points
        self.parts = _cut(points)
        self.origin = origin.numpy()
        self.slack = 0.0
        self.eps = torch.finfo(points.dtype).eps
        self.reach = 2 * spread**0.5 + 2 * float(origin.norm())
        count, _, pixels = self.parts.shape
        self.found = points.new_empty(count, number, pixels)

    def nearest(self, centers: np.ndarray) -> np.ndarray:
        """Return the nearest of centres (K, d) of every pixel (P,)."""
        e = centers - self.origin
        constant = (e * (centers + self.origin)).sum(axis=1)
        if len(set(constant.tolist())) < len(constant):
            # Of equal centres the first takes all, whatever the rounding.
            equal = (centers[:, None] == centers).all(axis=2)
            constant[np.tril(equal, -1).any(axis=1)] = np.inf
        torch.baddbmm(
            torch.from_numpy(constant)[None, :, None],
            torch.from_numpy(e).expand(len(self.parts), -1, -1),
            self.parts,
            alpha=-2,
            out=self.found,
        )
        scores = self.found.numpy()
        labels: np.ndarray = scores.argmin(axis=1).ravel()
        length = float(np.vdot(e, e)) ** 0.5
        self.slack = 4 * self.eps * length * (length + self.reach)
        best = scores.min(axis=1, keepdims=True)
        close = scores <= best + 2 * self.slack
        several = np.count_nonzero(close) > len(labels)
        if several and np.isfinite(self.slack):
            self._decide(labels, close, centers)
        return labels

    def _decide(
        self, labels: np.ndarray, close: np.ndarray, centers: np.ndarray
    ) -> None:
        """Look closer at pixels near several centres, in place."""
        close = close.transpose(1, 0, 2).reshape(len(centers), -1)
        pixels = np.flatnonzero(close.sum(axis=0) > 1)
        points = _rows(self.points, pixels)
        distances = np.full((len(centers), len(pixels)), np.inf)
        for distance, center, nearby in zip(distances, centers, close):
            exact = np.linalg.norm(points - center, axis=1)
            np.copyto(distance, exact, where=nearby[pixels])
        # A mean of equal pixels may not be equal to them.
        rounding = 4 * self.eps * np.linalg.norm(centers, axis=1).max()
        labels[pixels] = np.maximum(distances, rounding).argmin(axis=0)

    def best(self) -> np.ndarray:
        """Return the scores (P,) of the nearest centres just found."""
        scores: np.ndarray = self.found.numpy().min(axis=1).ravel()
        return scores


class _Sums:
    """Sums and sizes of the clusters, before empty ones take a pixel."""

    def __init__(self, points: Tensor, number: int) -> None:
        self.points = points
        self.clusters = np.arange(number)[:, None]
        self.dtype = points[:, :1].numpy().dtype
        self.counts = self.fresh_counts = np.zeros(number, int)
        self.sums = points.new_zeros(0)

    def update(
        self, old: np.ndarray, new: np.ndarray, changed: np.ndarray
    ) -> Tuple[np.ndarray, np.ndarray]:
        """Return sums (K, d) and sizes (K,) of labels ``new`` (P,)."""
        self.counts = np.bincount(new, minlength=len(self.clusters))
        few = RARE * len(changed) <= len(new)
        # A sum that has lost most of its pixels would keep the rounding of
        # the large one.
        if few and (2 * self.counts >= self.fresh_counts).all():
            if len(changed):
                self._move(old[changed], new[changed], changed)
        else:
            members = torch.from_numpy(self._members(new))
            self.sums = _sum_parts(_cut(self.points), members)
            self.fresh_counts = self.counts
        return self.sums.numpy(), self.counts

    def _move(
        self, old: np.ndarray, new: np.ndarray, changed: np.ndarray
    ) -> None:
        """Move a few pixels from sum to sum."""
        signs = torch.from_numpy(self._members(new) - self._members(old))
        moved = self.points.T.index_select(0, torch.from_numpy(changed))
        self.sums = torch.addmm(self.sums, signs, moved)

    def _members(self, labels: np.ndarray) -> np.ndarray:
        """Return 1 where a pixel is of a cluster, else 0 (K, P)."""
        members = labels == self.clusters
        return members.astype(self.dtype)


def _relocate(
    points: np.ndarray,
    labels: np.ndarray,
    distances: np.ndarray,
    sums: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Move the farthest pixels into empty clusters, in place.

    Args:
        points: (d, P).
        labels: Clusters of the pixels (P,).
        distances: Squared distances to their centres (P,).
        sums: Sums of the clusters (K, d).
        counts: Their sizes (K,).
    """
    for cluster in np.flatnonzero(counts == 0):
        pixel = distances.argmax()
        for index, sign in ((labels[pixel], -1), (cluster, 1)):
            sums[index] += sign * points[:, pixel]
            counts[index] += sign
        distances[pixel] = -1


def _sharpen(
    distances: np.ndarray, points: Tensor, own: np.ndarray, slack: float
) -> None:
    """Make the largest squared distances (P,) exact, in place.

    Args:
        distances: To be made exact.
        points: Pixels (d, P).
        own: Their centres (P, d).
        slack: By how much distances may be wrong.
    """
    # Two clusters may take a pixel.
    limit = np.sort(distances)[-2:].min() - 2 * slack
    far = np.flatnonzero(distances >= limit)
    exact = np.square(_rows(points, far) - own[far]).sum(axis=1)
    distances[far] = exact


def _rows(points: Tensor, pixels: np.ndarray) -> np.ndarray:
    """Return pixels (n, d) in double precision."""
    rows = points.T.index_select(0, torch.from_numpy(pixels))
    doubled: np.ndarray = rows.double().numpy()
    return doubled


def _rounding(spread: np.ndarray, origin: Tensor) -> float:
    """Return how large a squared distance is by rounding alone."""
    eps = torch.finfo(origin.dtype).eps
    offset = float(origin.norm())
    scale = float(spread.max()) ** 0.5 + 8 * eps * offset
    return 16 * eps * scale * (scale + offset)


def _spread(points: Tensor, origin: Tensor) -> Tensor:
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


def _sum_parts(parts: Tensor, members: Tensor) -> Tensor:
    """Return the sums (K, d) of the pixels of ``members`` (K, P)."""
    members = members.unflatten(1, (len(parts), -1)).transpose(0, 1)
    return torch.bmm(members, parts.transpose(1, 2)).sum(dim=0)


def _cut(points: Tensor) -> Tensor:
    """Cut pixels (d, P) into parts (n, d, P / n), one for each core."""
    cores = range(torch.get_num_threads(), 0, -1)
    count = next(number for number in cores if points.shape[1] % number == 0)
    return points.unflatten(1, (count, -1)).transpose(0, 1)
