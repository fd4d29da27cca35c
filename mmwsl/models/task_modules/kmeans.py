"""Lloyd's k-means of many images at once, from given centres.

Shape shorthand: N images, P pixels, d features, K clusters.
"""

from typing import NamedTuple, Tuple

import torch
from torch import Tensor

# Features that go together on a CPU: what stays in its cache from one round
# to the next.
_CPU_VALUES = 1 << 21


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
    equally near) and moves every centre to the mean of its pixels. An empty
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
        Labels and centres. Where a value of an image is infinite or missing,
        all labels are 0 and all centres missing.
    """
    step = len(points)
    if points.device.type == 'cpu':
        step = _CPU_VALUES // max(1, points[:1].numel())
    step = max(1, step)
    parts = [
        _cluster(*part, max_rounds, tolerance)
        for part in zip(points.split(step), centers.split(step))
    ]
    labels, moved = zip(*parts)
    return Clusters(torch.cat(labels), torch.cat(moved))


def _cluster(
    points: Tensor, centers: Tensor, max_rounds: int, tolerance: float
) -> Tuple[Tensor, Tensor]:
    """Return the clusters of images that go together."""
    count, features, pixels = points.shape
    labels = points.new_full((count, pixels), -1, dtype=torch.long)
    if points.numel() == 0:
        return labels, centers
    mean = points.mean(dim=2)
    lengths = torch.linalg.vector_norm(points, dim=1)
    longest = lengths.amax(dim=1)
    variance = lengths.square().mean(dim=1) - mean.square().sum(dim=1)
    limit = tolerance * variance.clamp(min=0) / features
    valid = longest.isfinite() & centers.flatten(1).isfinite().all(dim=1)
    if not valid.all():
        # Nothing can be compared with what is missing.
        points = points.masked_fill(~valid[:, None, None], 0)
        centers = centers.masked_fill(~valid[:, None, None], 0)
    moving, settled = valid, torch.zeros_like(valid)
    for _ in range(max_rounds):
        found = _nearest(points, centers, longest)
        means = _means(points, centers, found)
        same = (found == labels).all(dim=1)
        shift = (means - centers).square().sum(dim=(1, 2))
        # Images that have finished stay as they are.
        labels = torch.where(moving[:, None], found, labels)
        centers = torch.where(moving[:, None, None], means, centers)
        settled = settled | (moving & same)
        moving = moving & ~same & (shift > limit)
        if not moving.any():
            break
    if not settled.all():
        found = _nearest(points, centers, longest)
        labels = torch.where(settled[:, None], labels, found)
    labels = labels.masked_fill(~valid[:, None], 0)
    return labels, centers.masked_fill(~valid[:, None, None], torch.nan)


def _nearest(points: Tensor, centers: Tensor, longest: Tensor) -> Tensor:
    """Return the nearest centre (N, P) of every pixel.

    Args:
        points: (N, d, P).
        centers: (N, K, d).
        longest: The length of the longest pixel (N,).
    """
    # |x - c|^2 - |x - a|^2 = (c - a) (c + a - 2 x), a the first centre.
    first = centers[:, :1]
    gaps = centers - first
    constant = (gaps * (centers + first)).sum(dim=2, keepdim=True)
    # Of equal centres the first takes all, whatever the rounding.
    equal = (centers[:, :, None] == centers[:, None]).all(dim=3)
    copies = equal.tril(diagonal=-1).any(dim=2, keepdim=True)
    constant = constant.masked_fill(copies, torch.inf)
    scores = torch.baddbmm(constant, gaps, points, alpha=-2)
    best, labels = scores.min(dim=1)
    eps = torch.finfo(points.dtype).eps
    gap, reach = gaps.norm(dim=2).amax(dim=1), centers.norm(dim=2).amax(dim=1)
    slack = 8 * eps * gap * (gap + 2 * (longest + reach))
    close = scores <= (best + slack[:, None])[:, None]
    image, pixel = (close.sum(dim=1) > 1).nonzero(as_tuple=True)
    if len(image):
        # Rounding could decide, so differences in double precision do.
        exact = points[image, :, pixel].double()[:, None] - centers[image]
        distances = exact.norm(dim=2)
        # A mean of equal pixels may not be equal to them.
        distances = torch.maximum(distances, 4 * eps * reach[image, None])
        distances = distances.masked_fill(~close[image, :, pixel], torch.inf)
        labels[image, pixel] = distances.argmin(dim=1)
    return labels


def _means(points: Tensor, centers: Tensor, labels: Tensor) -> Tensor:
    """Return the means (N, K, d) of clusters given by ``labels`` (N, P)."""
    clusters = torch.arange(centers.shape[1], device=labels.device)
    members = (labels[:, None] == clusters[:, None]).to(points.dtype)
    counts = members.sum(dim=2)
    sums = members @ points.transpose(1, 2)
    for image in (counts == 0).any(dim=1).nonzero()[:, 0].tolist():
        _fill_empty(
            points[image].T,
            centers[image],
            labels[image],
            sums[image],
            counts[image],
        )
    means = sums / counts.clamp(min=1)[..., None]
    return torch.where((counts == 0)[..., None], centers, means)


def _fill_empty(
    points: Tensor,
    centers: Tensor,
    labels: Tensor,
    sums: Tensor,
    counts: Tensor,
) -> None:
    """Move the farthest pixels of an image into empty clusters, in place."""
    eps = torch.finfo(points.dtype).eps
    lengths = centers.norm(dim=1)
    scores = lengths.square()[:, None] - 2 * centers @ points.T
    squares = torch.linalg.vector_norm(points, dim=1).square()
    slack = 16 * eps * (squares.amax().sqrt() + lengths.amax()).square()
    squares += scores.gather(0, labels[None])[0]
    for cluster in (counts == 0).nonzero()[:, 0].tolist():
        # Of those that may be the farthest, differences tell which is.
        far = (squares >= squares.amax() - slack).nonzero()[:, 0]
        exact = points[far].double() - centers[labels[far]]
        distance, place = exact.norm(dim=1).max(dim=0)
        if distance <= 64 * eps * lengths.amax():
            break
        pixel = far[place]
        for index, sign in ((labels[pixel], -1), (cluster, 1)):
            sums[index] += sign * points[pixel]
            counts[index] += sign
        squares[pixel] = -torch.inf
