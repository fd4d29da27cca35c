"""Which pixels are like the image's feature, which are like its class."""

from typing import NamedTuple, Tuple

import torch
from mmengine.dist import broadcast, get_rank, get_world_size
from torch import Tensor, nn

from mmwsl.models.task_modules.class_means import class_means, gather_rows
from mmwsl.models.task_modules.kmeans import k_means
from mmwsl.registry import TASK_UTILS

UNIVERSUM, FAKE_SOURCE, TARGET = range(3)
UPDATES = ('batch', 'sequential')


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

    Shape shorthand: N images, C classes, d features, (h, w) the feature
    map.

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
