"""Lloyd's rounds on the CPU, image by image.

An image that fits into the cache is read from memory only once, none has to
wait for another, and only pixels that change their cluster are added up.

Shape shorthand: P pixels, d features, K clusters.
"""

from typing import Tuple

import torch
from torch import Tensor

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
        Labels (P,) and centres (K, d).
    """
    origin = points.mean(dim=1)
    parts = _cut(points)
    sums = _Sums(points, len(centers))
    limit = tolerance * float(_mean_variance(points, origin))
    labels = points.new_full((points.shape[1],), -1, dtype=torch.long)
    for _ in range(max_rounds):
        best = _scores(parts, centers, origin).min(dim=1)
        found = best.indices.flatten()
        changed = (found != labels).nonzero().flatten()
        total, counts = sums.update(labels, found, changed)
        labels = found
        empty = counts == 0
        if bool(empty.any()):
            spread = _spread(points, origin, best.values.flatten())
            _relocate(points, labels, spread, total, counts)
            total = torch.where(counts[:, None] == 0, centers, total)
        old, centers = centers, total / counts.clamp(min=1)[:, None]
        if not len(changed):
            return labels, centers
        if float((centers - old).square().sum()) <= limit:
            break
    return _scores(parts, centers, origin).argmin(dim=1).flatten(), centers


class _Sums:
    """Sums and sizes of the clusters, before empty ones take a pixel."""

    def __init__(self, points: Tensor, number: int) -> None:
        self.points = points
        self.clusters = torch.arange(number)[:, None]
        self.sums = self.counts = points.new_zeros(0)

    def update(
        self, old: Tensor, new: Tensor, changed: Tensor
    ) -> Tuple[Tensor, Tensor]:
        """Return sums (K, d) and sizes (K,) of labels ``new`` (P,)."""
        few = len(self.sums) > 0 and RARE * len(changed) <= len(new)
        if not (few and self._move(old[changed], new[changed], changed)):
            members = (new == self.clusters).to(self.points.dtype)
            self.sums = _sum_parts(_cut(self.points), members)
            self.counts = self.fresh_counts = members.sum(dim=1)
        return self.sums.clone(), self.counts.clone()

    def _move(self, old: Tensor, new: Tensor, changed: Tensor) -> bool:
        """Move a few pixels from sum to sum.

        A sum that has lost most of its pixels would keep the rounding of
        the large one; then nothing is done.
        """
        if len(changed):
            signs = (new == self.clusters).to(self.points.dtype)
            signs = signs - (old == self.clusters).to(signs.dtype)
            counts = self.counts + signs.sum(dim=1)
            if bool((2 * counts < self.fresh_counts).any()):
                return False
            self.sums = self.sums + signs @ self.points.T[changed]
            self.counts = counts
        return True


def _relocate(
    points: Tensor,
    labels: Tensor,
    distances: Tensor,
    sums: Tensor,
    counts: Tensor,
) -> None:
    """Move the farthest pixels into empty clusters, in place.

    Args:
        points: (d, P).
        labels: Clusters of the pixels (P,).
        distances: Squared distances to their centres (P,), all 0 if they
            are nothing but rounding.
        sums: Sums of the clusters (K, d).
        counts: Their sizes (K,).
    """
    if not bool(distances.any()):
        return
    for cluster in (counts == 0).nonzero().flatten().tolist():
        pixel = int(distances.argmax())
        giver = int(labels[pixel])
        for index, sign in ((giver, -1), (cluster, 1)):
            sums[index] += sign * points[:, pixel]
            counts[index] += sign
        distances[pixel] = -1


def _spread(points: Tensor, origin: Tensor, best: Tensor) -> Tensor:
    """Return the squared distances (P,) of pixels to their centres."""
    spread = torch.linalg.vector_norm(points - origin[:, None], dim=0)
    eps = torch.finfo(points.dtype).eps
    offset = origin.norm()
    scale = spread.max() + 8 * eps * offset
    distances = spread.square() + best
    rounding = 16 * eps * scale * (scale + offset)
    return distances * (distances.max() > rounding)


def _scores(parts: Tensor, centers: Tensor, origin: Tensor) -> Tensor:
    """Return ``|x - c|^2 - |x - p|^2`` (n, K, P / n), infinite for a copy."""
    e = centers - origin
    constant = (e * (centers + origin)).sum(dim=1)
    if len(set(constant.tolist())) < len(constant):
        # Of equal centres the first takes all, whatever the rounding.
        equal = (centers[:, None] == centers).all(dim=2)
        copies = equal.tril(diagonal=-1).any(dim=1)
        constant = constant.masked_fill(copies, float('inf'))
    count = len(parts)
    return torch.baddbmm(
        constant[None, :, None], e.expand(count, -1, -1), parts, alpha=-2
    )


def _sum_parts(parts: Tensor, members: Tensor) -> Tensor:
    """Return the sums (K, d) of the pixels of ``members`` (K, P)."""
    members = members.unflatten(1, (len(parts), -1)).transpose(0, 1)
    return torch.bmm(members, parts.transpose(1, 2)).sum(dim=0)


def _cut(points: Tensor) -> Tensor:
    """Cut pixels (d, P) into parts (n, d, P / n), one for each core."""
    cores = range(torch.get_num_threads(), 0, -1)
    count = next(number for number in cores if points.shape[1] % number == 0)
    return points.unflatten(1, (count, -1)).transpose(0, 1)


def _mean_variance(points: Tensor, mean: Tensor) -> Tensor:
    """Return the variance over the pixels, averaged over features."""
    squares = torch.linalg.vector_norm(points).square()
    variance = squares / points.shape[1] - mean.square().sum()
    return variance.clamp(min=0) / len(points)
