"""Lloyd's rounds on the CPU, image by image.

An image that fits into the cache is read from memory only once, none has to
wait for another, and only pixels that change their cluster are added up.
Torch makes the passes over the pixels. What is left of a round are dozens of
steps on small arrays, which NumPy starts faster. Where rounding could decide
between centres or pixels, differences are squared in double precision, so
that of equal ones it is the first that counts.

Shape shorthand: P pixels, d features, K clusters.
"""

from math import isfinite, nan
from typing import Tuple

import numpy as np
import torch
from torch import Tensor

from mmwsl.models.task_modules.kmeans_spread import PixelSpread

# Sums are updated if at most one in so many pixels has moved.
RARE = 8


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
        Labels (P,) and centres (K, d). If a value is infinite or missing,
        all labels are 0 and all centres missing.
    """
    points = points.detach()
    spread = PixelSpread(points)
    if not (isfinite(spread.longest) and centers.isfinite().all()):
        labels = torch.zeros(points.shape[1], dtype=torch.long)
        return labels, torch.full_like(centers, nan)
    limit = tolerance * spread.mean_variance()
    found, moved = _rounds(points, centers, spread, max_rounds, limit)
    return torch.from_numpy(found), torch.from_numpy(moved)


def _rounds(
    points: Tensor,
    start: Tensor,
    spread: PixelSpread,
    max_rounds: int,
    limit: float,
) -> Tuple[np.ndarray, np.ndarray]:
    scores = _Scores(points, len(start), spread.longest)
    sums = _Sums(points, len(start))
    centers = start.detach().numpy()
    labels = np.full(points.shape[1], -1)
    for _ in range(max_rounds):
        found = scores.nearest(centers)
        changed = np.flatnonzero(found != labels)
        total, counts = sums.update(labels, found, changed)
        labels = found
        if not counts.all():
            total, counts = total.copy(), counts.copy()
            origin, around, rounding = spread.around()
            distances = around + scores.own(labels, centers, origin)
            if distances.max() > rounding:
                slack = 2 * scores.slack + rounding
                _sharpen(distances, points, centers, labels, slack)
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
    """Scores ``|x - c|^2 - |x - a|^2`` of pixels x, with a the first centre.

    They are ``(c - a) (c + a - 2 x)``, for all centres but the first.

    Attributes:
        slack: By how much the scores just found may be wrong.
    """

    def __init__(self, points: Tensor, number: int, longest: float) -> None:
        self.points = points
        self.parts = _cut(points)
        self.longest = longest
        self.slack = 0.0
        self.eps = torch.finfo(points.dtype).eps
        count, features, pixels = self.parts.shape
        # Torch is slow to write into a part of an array.
        self.others = points.new_empty(count, number - 1, pixels)
        self.gaps = points.new_empty(number - 1, features)
        self.constant = points.new_empty(1, number - 1, 1)
        self.found = np.zeros(
            (count, number, pixels), dtype=self.gaps.numpy().dtype
        )

    def nearest(self, centers: np.ndarray) -> np.ndarray:
        """Return the nearest of centres (K, d) of every pixel (P,)."""
        first = centers[0]
        gaps = np.subtract(centers[1:], first, out=self.gaps.numpy())
        constant = self.constant.numpy()[0, :, 0]
        np.sum(gaps * (centers[1:] + first), axis=1, out=constant)
        if len({0.0, *constant.tolist()}) < len(centers):
            # Of equal centres the first takes all, whatever the rounding.
            equal = (centers[:, None] == centers).all(axis=2)
            copies = np.tril(equal, -1).any(axis=1)
            constant[copies[1:]] = np.inf
        torch.baddbmm(
            self.constant,
            self.gaps.expand(len(self.parts), -1, -1),
            self.parts,
            alpha=-2,
            out=self.others,
        )
        scores = self.found
        scores[:, 1:] = self.others.numpy()
        labels: np.ndarray = scores.argmin(axis=1).ravel()
        gap = float(np.vdot(gaps, gaps)) ** 0.5
        reach = 2 * self.longest + 2 * float(np.vdot(first, first)) ** 0.5
        self.slack = 4 * self.eps * gap * (gap + reach)
        best = scores.min(axis=1, keepdims=True)
        close = scores <= best + 2 * self.slack
        if np.count_nonzero(close) > len(labels):
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

    def own(
        self, labels: np.ndarray, centers: np.ndarray, origin: Tensor
    ) -> np.ndarray:
        """Return ``|x - c|^2 - |x - o|^2`` of pixels and their own centres.

        Args:
            labels: (P,).
            centers: (K, d).
            origin: o (d,).
        """
        ends = torch.from_numpy(centers)
        # Small where c is near o, unlike differences of other scores.
        gaps = ends - origin
        constant = (gaps * (ends + origin)).sum(dim=1)
        scores = torch.baddbmm(
            constant[None, :, None],
            gaps.expand(len(self.parts), -1, -1),
            self.parts,
            alpha=-2,
        ).numpy()
        places = labels.reshape(len(scores), 1, -1)
        own: np.ndarray = np.take_along_axis(scores, places, axis=1).ravel()
        return own


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
    distances: np.ndarray,
    points: Tensor,
    centers: np.ndarray,
    labels: np.ndarray,
    slack: float,
) -> None:
    """Make the largest squared distances (P,) exact, in place.

    Args:
        distances: To be made exact.
        points: Pixels (d, P).
        centers: (K, d).
        labels: Clusters of the pixels (P,).
        slack: By how much distances may be wrong.
    """
    # Two clusters may take a pixel.
    limit = np.sort(distances)[-2:].min() - 2 * slack
    far = np.flatnonzero(distances >= limit)
    own = centers[labels[far]]
    exact = np.square(_rows(points, far) - own).sum(axis=1)
    distances[far] = exact


def _rows(points: Tensor, pixels: np.ndarray) -> np.ndarray:
    """Return pixels (n, d) in double precision."""
    rows = points.T.index_select(0, torch.from_numpy(pixels))
    doubled: np.ndarray = rows.double().numpy()
    return doubled


def _sum_parts(parts: Tensor, members: Tensor) -> Tensor:
    """Return the sums (K, d) of the pixels of ``members`` (K, P)."""
    members = members.unflatten(1, (len(parts), -1)).transpose(0, 1)
    return torch.bmm(members, parts.transpose(1, 2)).sum(dim=0)


def _cut(points: Tensor) -> Tensor:
    """Cut pixels (d, P) into parts (n, d, P / n), one for each core."""
    cores = range(torch.get_num_threads(), 0, -1)
    count = next(number for number in cores if points.shape[1] % number == 0)
    return points.unflatten(1, (count, -1)).transpose(0, 1)
