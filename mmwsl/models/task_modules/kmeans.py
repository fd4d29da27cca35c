"""Lloyd's k-means of many images at once, from given centres.

Shape shorthand: N images, P pixels, d features, K clusters.
"""

from typing import NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from mmwsl.models.task_modules.kmeans_cpu import cluster_one

# How many rounds a device computes ahead before the host asks whether it is
# finished; images that are do not move any more.
ROUNDS_AHEAD = 6


class Clusters(NamedTuple):
    """Clusters of the pixels of N images.

    Attributes:
        labels: The cluster of every pixel, long (N, P).
        centers: (N, K, d).
    """

    labels: Tensor
    centers: Tensor


@torch.no_grad()
def k_means(
    points: Tensor,
    centers: Tensor,
    max_rounds: int = 300,
    tolerance: float = 1e-4,
) -> Clusters:
    """Cluster the pixels of every image on their own.

    A round gives every pixel to its nearest centre (the first one of several
    equally near, between which rounding may decide on devices other than the
    CPU) and moves every centre to the mean of its pixels. An empty
    cluster takes the pixel farthest from its own centre, the first one of
    several, which leaves its cluster; a second empty cluster takes the next
    one. If all pixels lie on their centres, an empty cluster's stays where
    it is. An image stops when no pixel changes its cluster, or when the
    squared shift of its centres is at most ``tolerance`` times the mean
    variance of a feature, upon which the pixels are given to the final
    centres. With the same initial centres this is scikit-learn's
    ``k_means``, but for its rounding of ties, and for images of fewer
    different pixels than clusters, where it moves a centre that stays empty
    to the largest cluster.

    Args:
        points: Pixels (N, d, P), in any memory layout, float32 or float64.
        centers: Initial centres (N, K, d), of the same type.
        max_rounds: Limit of the rounds.
        tolerance: Relative squared shift of the centres.

    Returns:
        Labels and centres.
    """
    if points.device.type != 'cpu':
        return _cluster(points, centers, max_rounds, tolerance)
    if points.numel() == 0:
        none = points.new_zeros(points.shape[::2], dtype=torch.long)
        return Clusters(none, centers)
    parts = [
        cluster_one(*part, max_rounds, tolerance)
        for part in zip(points, centers)
    ]
    labels, moved = zip(*parts)
    return Clusters(torch.stack(labels), torch.stack(moved))


def _cluster(
    points: Tensor,
    centers: Tensor,
    max_rounds: int,
    tolerance: float,
    rounds_ahead: int = ROUNDS_AHEAD,
) -> Clusters:
    run = _Lloyd(points, centers, tolerance)
    if points.numel() == 0:
        return run.result()
    for number in range(1, max_rounds + 1):
        run.step()
        if number % rounds_ahead == 0 and run.drop_finished():
            break
    return run.result()


class _Lloyd:
    """The rounds of one call.

    Distances are taken from the mean p of an image's pixels, where they
    keep most digits: ``|x - c|^2 = |x - p|^2 + |e|^2 - 2 (x - p) e`` with
    ``e = c - p``.
    """

    def __init__(
        self, points: Tensor, centers: Tensor, tolerance: float
    ) -> None:
        count, _, pixels = points.shape
        self.labels = points.new_full((count, pixels), -1, dtype=torch.long)
        self.centers = centers.clone()
        # Whether an image stopped because no pixel changed its cluster.
        self.settled = points.new_zeros(count, dtype=torch.bool)
        self.all_points = points
        # What follows is of the images still at work, those in ``active``.
        self.active = torch.arange(count, device=points.device)
        self.points = points
        self.origin = self.all_origin = points.mean(dim=2)
        self.limit = tolerance * _mean_variance(points, self.origin)
        self.moving = points.new_ones(count, dtype=torch.bool)
        self.old_labels = self.labels.clone()
        self.old_centers = centers
        self._spread: Optional[Tensor] = None

    def step(self) -> None:
        """Do one round; images that have finished stay as they are."""
        scores = _scores(self.points, self.old_centers, self.origin)
        best = scores.min(dim=1)
        labels = best.indices
        centers = self._means(labels, best.values)
        same = (labels == self.old_labels).all(dim=1)
        shift = (centers - self.old_centers).square().sum(dim=(1, 2))
        self.settled[self.active] |= self.moving & same
        moving = self.moving[:, None]
        self.old_labels = torch.where(moving, labels, self.old_labels)
        self.old_centers = torch.where(
            moving[..., None], centers, self.old_centers
        )
        self.moving = self.moving & ~same & (shift > self.limit)

    def drop_finished(self) -> bool:
        """Set images that have finished aside; return whether all have."""
        moving = self.moving.nonzero().flatten()
        # Copying the pixels of the others pays if they are few.
        if 2 * len(moving) > len(self.active):
            return False
        self._store()
        self.active = self.active[moving]
        for name in ('origin', 'limit', 'moving', 'old_labels', 'old_centers'):
            setattr(self, name, getattr(self, name)[moving])
        if len(moving):
            self.points = self.points[moving]
            if self._spread is not None:
                self._spread = self._spread[moving]
        return len(moving) == 0

    def result(self) -> Clusters:
        """Return the clusters of all images."""
        self._store()
        if self.all_points.numel() == 0 or self._all(self.settled):
            return Clusters(self.labels, self.centers)
        scores = _scores(self.all_points, self.centers, self.all_origin)
        labels = torch.where(
            self.settled[:, None], self.labels, scores.argmin(dim=1)
        )
        return Clusters(labels, self.centers)

    def _store(self) -> None:
        self.labels[self.active] = self.old_labels
        self.centers[self.active] = self.old_centers

    def _means(self, labels: Tensor, best: Tensor) -> Tensor:
        """Return the means (n, K, d) of the new clusters."""
        clusters = torch.arange(
            self.old_centers.shape[1], device=labels.device
        )
        members = labels[:, None] == clusters[:, None]
        counts = members.sum(dim=2)
        sums = members.to(best.dtype) @ self.points.transpose(1, 2)
        empty = counts == 0
        if not self._all(~empty):
            self._relocate(sums, counts, labels, best, empty)
        means = sums / counts.clamp(min=1)[..., None]
        return torch.where((counts == 0)[..., None], self.old_centers, means)

    def _relocate(
        self,
        sums: Tensor,
        counts: Tensor,
        labels: Tensor,
        best: Tensor,
        empty: Tensor,
    ) -> None:
        """Move the farthest pixels into empty clusters, in place."""
        distances, rounding = self._distances(best)
        useful = distances.amax(dim=1) > rounding
        rows = torch.arange(len(labels), device=labels.device)
        for cluster in range(empty.shape[1]):
            takes = (empty[:, cluster] & useful).to(sums.dtype)
            pixel = distances.argmax(dim=1)
            moved = self.points[rows, :, pixel] * takes[:, None]
            giver = labels[rows, pixel]
            sums[rows, giver] -= moved
            sums[rows, cluster] += moved
            counts[rows, giver] -= takes.to(counts.dtype)
            counts[rows, cluster] += takes.to(counts.dtype)
            distances[rows, pixel] -= takes * (distances[rows, pixel] + 1)

    def _distances(self, best: Tensor) -> Tuple[Tensor, Tensor]:
        """Return the squared distances (n, P) of pixels to their centres.

        And how large a distance (n,) may be by rounding alone.
        """
        if self._spread is None:
            centered = self.points - self.origin[..., None]
            self._spread = torch.linalg.vector_norm(centered, dim=1).square()
        eps = torch.finfo(best.dtype).eps
        offset = self.origin.norm(dim=1)
        scale = self._spread.amax(dim=1).sqrt() + 8 * eps * offset
        return self._spread + best, 16 * eps * scale * (scale + offset)

    def _all(self, mask: Tensor) -> bool:
        """Whether all is true, as far as the host knows without waiting."""
        return mask.device.type == 'cpu' and bool(mask.all())


def _mean_variance(points: Tensor, mean: Tensor) -> Tensor:
    """Return the variance over the pixels, averaged over features (N,)."""
    _, features, pixels = points.shape
    squares = torch.linalg.vector_norm(points, dim=(1, 2)).square()
    variance = squares / max(pixels, 1) - mean.square().sum(dim=1)
    return variance.clamp(min=0) / features


def _scores(points: Tensor, centers: Tensor, origin: Tensor) -> Tensor:
    """Return ``|x - c|^2 - |x - p|^2`` (N, K, P), infinite for a copy."""
    e = centers - origin[:, None]
    constant = (e * (e + 2 * origin[:, None])).sum(dim=2, keepdim=True)
    # Of equal centres the first takes all, whatever the rounding.
    equal = (centers[:, :, None] == centers[:, None]).all(dim=3)
    copies = equal.tril(diagonal=-1).any(dim=2, keepdim=True)
    constant = constant.masked_fill(copies, float('inf'))
    return torch.baddbmm(constant, e, points, alpha=-2)
