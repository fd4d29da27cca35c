"""Which pixels are like the image's feature, which are like its class.

Shape shorthand: N images, C classes, d features, (h, w) the feature map, P
its pixels, K clusters, M entries of all processes.
"""

from typing import NamedTuple, Tuple

import torch
from mmengine.dist import all_gather, broadcast, get_rank, get_world_size
from torch import Tensor, nn

from mmwsl.registry import TASK_UTILS

UNIVERSUM, FAKE_SOURCE, TARGET = range(3)
UPDATES = ('batch', 'sequential')
# Features that go together on a CPU: what stays in its cache from one round
# to the next.
_CPU_VALUES = 1 << 21


class Assignment(NamedTuple):
    """What the assigner finds in N images.

    Attributes:
        assignment: Long (N, h, w): 0 universum, 1 fake source, 2 target.
        centers: The three clusters' centres (N, 3, d).
    """

    assignment: Tensor
    centers: Tensor


class Samples(NamedTuple):
    """Random pixels of N images, as places in the flattened maps.

    Attributes:
        source: ``num_source - 1`` fake source pixels of every image.
        target: ``num_target`` target pixels of every image.
        enough: Whether the image has so many of both, bool (N,). The rows
            of the others hold pixels of any kind.
    """

    source: Tensor
    target: Tensor
    enough: Tensor


@TASK_UTILS.register_module()
class TargetSampleAssigner(nn.Module):
    """Target sample assigner of DA-WSOL (https://arxiv.org/abs/2203.01714).

    The pixels of an image of class y fall into three clusters by Euclidean
    k-means, whose initial centres are the universum anchor u, the image's
    feature s and the class anchor m_y (at a class's first sight s). Then
    m_y becomes the running mean of the centres of cluster 1, in which the
    s of first sight counts as one, and u that of the centres of cluster 0,
    from zero on. In eval mode the anchors stay as they are.

    - 'sequential', as published: image after image, so that later ones
      start from anchors that earlier ones have moved. With several
      processes the images of rank 0 come first, then those of rank 1.
    - 'batch': all images start from the same anchors, and those of new
      classes from the mean of their images' s. Then the k centres of an
      anchor enter its running mean at once: from count n to n + k, by
      ``k / (n + k)`` of the way to the mean of the centres. The images are
      those of all processes.

    Images with infinite or missing values in their features leave the
    anchors alone. All is computed in float32 (float64 for such features),
    without gradient.

    Args:
        num_classes: C.
        feat_dim: d.
        num_source: Source samples of an image, s included.
        num_target: Target samples of an image.
        update: 'batch' or 'sequential'.
    """

    class_anchors: Tensor
    class_counts: Tensor
    universum_anchor: Tensor
    universum_count: Tensor

    def __init__(
        self,
        num_classes: int,
        feat_dim: int,
        num_source: int = 32,
        num_target: int = 32,
        update: str = 'batch',
    ) -> None:
        super().__init__()
        if update not in UPDATES:
            raise ValueError(
                f"update must be one of {UPDATES}, got '{update}'."
            )
        if min(num_source, num_target) < 1:
            raise ValueError(
                'num_source and num_target must be at least 1, got '
                f'{num_source} and {num_target}.'
            )
        self.num_classes = num_classes
        self.feat_dim = feat_dim
        self.num_source = num_source
        self.num_target = num_target
        self.update = update
        # They are the state of the training and belong to the checkpoint.
        self.register_buffer(
            'class_anchors', torch.zeros(num_classes, feat_dim)
        )
        self.register_buffer(
            'class_counts', torch.zeros(num_classes, dtype=torch.long)
        )
        self.register_buffer('universum_anchor', torch.zeros(feat_dim))
        self.register_buffer(
            'universum_count', torch.zeros((), dtype=torch.long)
        )

    @torch.no_grad()
    def assign(
        self, pixel_feats: Tensor, image_feats: Tensor, labels: Tensor
    ) -> Assignment:
        """Assign the pixels of N images and move the anchors.

        An image of several classes enters once for each of them.

        Args:
            pixel_feats: Features of the pixels (N, d, h, w).
            image_feats: Features of the images, s (N, d).
            labels: Classes y (N,), long.

        Returns:
            Assignment and centres.

        Raises:
            TypeError: If labels are no whole numbers.
            ValueError: If a shape or a class does not fit.
        """
        self._check(pixel_feats, image_feats, labels)
        dtype = torch.promote_types(pixel_feats.dtype, torch.float32)
        with torch.autocast(pixel_feats.device.type, enabled=False):
            points = pixel_feats.to(dtype).flatten(2)
            feats = image_feats.to(dtype)
            if not self.training:
                found, centers = self._cluster(points, feats, labels)
            elif self.update == 'batch':
                found, centers = self._assign_batch(points, feats, labels)
            else:
                found, centers = self._assign_in_turn(points, feats, labels)
        shape = (len(labels), *pixel_feats.shape[2:])
        return Assignment(found.view(shape), centers)

    @torch.no_grad()
    def sample(self, assignment: Tensor) -> Samples:
        """Draw the pixels that the discrepancy compares.

        Args:
            assignment: (N, h, w) with at least ``num_source - 1`` and
                ``num_target`` pixels.

        Returns:
            Places (N, num_source - 1) and (N, num_target), each without
            repetition and in random order, and who has enough.
        """
        flat = assignment.flatten(1)
        # The highest of random numbers are a random choice.
        keys = torch.rand(flat.shape, device=flat.device)
        places, enough = [], flat.new_ones(len(flat), dtype=torch.bool)
        sizes = {FAKE_SOURCE: self.num_source - 1, TARGET: self.num_target}
        for subset, size in sizes.items():
            members = flat == subset
            places.append((keys + members).topk(size, dim=1).indices)
            enough = enough & (members.sum(dim=1) >= size)
        return Samples(places[0], places[1], enough)

    def _assign_batch(
        self, points: Tensor, feats: Tensor, labels: Tensor
    ) -> Tuple[Tensor, Tensor]:
        all_labels = gather_rows(labels)
        self._meet(all_labels, gather_rows(feats))
        found, centers = self._cluster(points, feats, labels)
        self._move(all_labels, gather_rows(centers))
        return found, centers

    def _assign_in_turn(
        self, points: Tensor, feats: Tensor, labels: Tensor
    ) -> Tuple[Tensor, Tensor]:
        found = labels.new_zeros(len(points), points.shape[2])
        centers = points.new_zeros(len(points), 3, self.feat_dim)
        for rank in range(get_world_size()):
            for index in range(len(labels) if rank == get_rank() else 0):
                one = slice(index, index + 1)
                self._meet(labels[one], feats[one])
                found[one], centers[one] = self._cluster(
                    points[one], feats[one], labels[one]
                )
                self._move(labels[one], centers[one])
            for buffer in self.buffers():
                broadcast(buffer, src=rank)
        return found, centers

    def _cluster(
        self, points: Tensor, feats: Tensor, labels: Tensor
    ) -> Tuple[Tensor, Tensor]:
        """Cluster pixels (N, d, P) from the anchors as they are."""
        anchors = self.class_anchors[labels].to(feats.dtype)
        unseen = self.class_counts[labels] == 0
        anchors = torch.where(unseen[:, None], feats, anchors)
        universum = self.universum_anchor.to(feats.dtype).expand_as(feats)
        # The order is that of the subsets' numbers.
        start = torch.stack([universum, feats, anchors], dim=1)
        return k_means(points, start)

    def _meet(self, labels: Tensor, feats: Tensor) -> None:
        """Give classes at first sight their anchors."""
        mean, number = class_means(labels, feats)
        anchors, counts = self.class_anchors[labels], self.class_counts[labels]
        first = (counts == 0) & (number > 0)
        mean = mean.to(anchors.dtype)
        self.class_anchors[labels] = torch.where(first[:, None], mean, anchors)
        self.class_counts[labels] = counts + first

    def _move(self, labels: Tensor, centers: Tensor) -> None:
        """Let centres (M, 3, d) enter the running means."""
        centers = centers.to(self.class_anchors.dtype)
        mean, number = class_means(labels, centers[:, FAKE_SOURCE])
        anchors, counts = self.class_anchors[labels], self.class_counts[labels]
        step = (number / (counts + number).clamp(min=1))[:, None]
        self.class_anchors[labels] = anchors + (mean - anchors) * step
        self.class_counts[labels] = counts + number

        # As if all were of one class.
        mean, number = class_means(
            torch.zeros_like(labels), centers[:, UNIVERSUM]
        )
        for all_mean, total in zip(mean[:1], number[:1]):
            count = self.universum_count + total
            step = total / count.clamp(min=1)
            self.universum_anchor += (all_mean - self.universum_anchor) * step
            self.universum_count.copy_(count)

    def _check(
        self, pixel_feats: Tensor, image_feats: Tensor, labels: Tensor
    ) -> None:
        if pixel_feats.ndim != 4 or pixel_feats.shape[1] != self.feat_dim:
            raise ValueError(
                f'pixel_feats must have the shape (N, {self.feat_dim}, h, w) '
                f'as feat_dim says, got {tuple(pixel_feats.shape)}.'
            )
        size = len(pixel_feats)
        if image_feats.shape != (size, self.feat_dim):
            raise ValueError(
                f'image_feats must have the shape ({size}, {self.feat_dim}), '
                f'got {tuple(image_feats.shape)}.'
            )
        if labels.shape != (size,):
            raise ValueError(
                f'labels must have the shape ({size},), one class an image, '
                f'got {tuple(labels.shape)}.'
            )
        if labels.is_floating_point() or labels.dtype == torch.bool:
            raise TypeError(f'labels must be long, got {labels.dtype}.')
        # Elsewhere the host would have to wait for the device.
        if labels.device.type == 'cpu' and size:
            low, high = int(labels.min()), int(labels.max())
            if low < 0 or high >= self.num_classes:
                raise ValueError(
                    f'labels must be from 0 to {self.num_classes - 1}, got '
                    f'{low if low < 0 else high}.'
                )


def class_means(labels: Tensor, rows: Tensor) -> Tuple[Tensor, Tensor]:
    """Return for every entry the mean over its class and their number.

    Of rows (M, d) of classes (M,), those that are not finite left out: means
    (M, d), equal to the bit within a class, and numbers (M,).
    """
    finite = rows.isfinite().all(dim=1)
    same = labels[:, None] == labels
    counted = same & finite
    number = counted.sum(dim=1)
    rows = torch.where(finite[:, None], rows, torch.zeros_like(rows))
    mean = counted.to(rows.dtype) @ rows
    mean = mean / number.clamp(min=1)[:, None]
    if len(labels):
        mean = mean[same.int().argmax(dim=1)]
    return mean, number


def gather_rows(rows: Tensor) -> Tensor:
    """Return the rows of all processes, those of rank 0 first."""
    if get_world_size() == 1:
        return rows
    # The last batch may be cut unevenly.
    sizes = [
        int(size)
        for size in all_gather(torch.tensor([len(rows)], device=rows.device))
    ]
    padded = rows.new_zeros((max(sizes), *rows.shape[1:]))
    padded[: len(rows)] = rows
    parts = all_gather(padded)
    return torch.cat([part[:size] for part, size in zip(parts, sizes)])


@torch.no_grad()
def k_means(
    points: Tensor,
    centers: Tensor,
    max_rounds: int = 300,
    tolerance: float = 1e-4,
) -> Tuple[Tensor, Tensor]:
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
        The cluster of every pixel, long (N, P), and centres (N, K, d). Where
        a value of an image is infinite or missing, all labels are 0 and all
        centres missing.
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
    return torch.cat(labels), torch.cat(moved)


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
    """Return the nearest centre (N, P); ``longest`` are lengths (N,)."""
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
