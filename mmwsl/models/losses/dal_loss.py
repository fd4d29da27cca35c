"""The domain adaptive localisation loss of DA-WSOL."""

import logging
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.logging import print_log
from torch import Tensor, nn

from mmwsl.models.heads.label_utils import stack_gt_scores
from mmwsl.models.task_modules.target_sample_assigner import UNIVERSUM
from mmwsl.registry import MODELS, TASK_UTILS
from mmwsl.structures import WSLDataSample

# A sum and the weights in it, scalars.
WeightedSum = Tuple[Tensor, Tensor]


class DALTerms(NamedTuple):
    """What :class:`DALLoss` returns.

    Attributes:
        discrepancy: Weighted L_d, scalar.
        universum: Weighted L_u, scalar.
        assignment: Subsets of the pixels of every entry, long (M, h, w), or
            None before the first epoch of the loss.
        images: To which of the N images an entry belongs (M,), ascending.
    """

    discrepancy: Tensor
    universum: Tensor
    assignment: Optional[Tensor]
    images: Tensor


@MODELS.register_module()
class DALLoss(nn.Module):
    """Domain adaptive localisation loss (https://arxiv.org/abs/2203.01714).

    ``lambda_1 L_d(S u T^f, T^t) + lambda_2 L_u(T^u)``: an assigner parts the
    pixels of an image into three subsets. L_d is the discrepancy between the
    image's feature s with random pixels of T^f (fake source) and random
    pixels of T^t (target), averaged over the images that have enough of
    both. L_u is the mean of the features' magnitudes in T^u (universum) over
    the batch.

    Every pair of an image and one of its classes is an entry of its own,
    and the label, which may be a fraction where images are mixed, is its
    weight in both averages. With several processes, over which gradients
    are averaged in turn, the averages are those of the whole batch.

    Shape shorthand: N images, C classes, M entries, d features, (h, w) the
    feature map.

    Attributes:
        num_classes: C of the assigner.
        keep_assignment: Whether the next loss keeps its assignment, which
            costs a copy.
        last_assignment: Long (N, h, w): 0 universum, 1 fake source, 2
            target, by the first class of every image; 0 for images without
            classes. None if nothing was assigned.

    Args:
        assigner: Config of the assigner, for example
            ``dict(type='TargetSampleAssigner', num_classes=C, feat_dim=d)``.
        discrepancy: Config of a module (P, n, d), (P, n, d) -> (P,), by
            default MMDLoss.
        discrepancy_weight: lambda_1.
        universum_weight: lambda_2.
        start_epoch: Epoch, from 0, from which the terms count. Before it
            they are 0 and anchors stay; ``set_epoch`` must tell the epoch,
            as HeadEpochHook does.
        in_index: Which of the backbone's or neck's outputs is adapted.

    Raises:
        ValueError: If the assigner draws sets of two sizes.
    """

    def __init__(
        self,
        assigner: Dict,
        discrepancy: Optional[Dict] = None,
        discrepancy_weight: float = 0.3,
        universum_weight: float = 2.0,
        start_epoch: int = 0,
        in_index: int = -1,
    ) -> None:
        super().__init__()
        self.assigner = TASK_UTILS.build(assigner)
        sizes = self.assigner.num_source, self.assigner.num_target
        if sizes[0] != sizes[1]:
            raise ValueError(
                'DALLoss: num_source and num_target of the assigner must be '
                f'equal, got {sizes[0]} and {sizes[1]}.'
            )
        self.num_classes: int = self.assigner.num_classes
        self.discrepancy = MODELS.build(
            discrepancy or dict(type='mmwsl.MMDLoss')
        )
        self.discrepancy_weight = discrepancy_weight
        self.universum_weight = universum_weight
        self.start_epoch = start_epoch
        self.in_index = in_index
        self.keep_assignment = False
        self.last_assignment: Optional[Tensor] = None
        self._started = start_epoch <= 0
        self._epoch_known = self._started

    def set_epoch(self, epoch: int) -> None:
        """Take note of the epoch of training, from 0."""
        self._started = epoch >= self.start_epoch
        self._epoch_known = True

    def loss(
        self, feats: Sequence[Tensor], data_samples: Sequence[WSLDataSample]
    ) -> Dict[str, Tensor]:
        """Return the terms as losses of a model.

        Args:
            feats: Features of the backbone or neck.
            data_samples: N samples with ``gt_score``.

        Returns:
            ``loss_discrepancy`` and ``loss_universum``, scalars.
        """
        targets = stack_gt_scores(data_samples, self.num_classes)
        terms = self(feats[self.in_index], targets)
        if self.keep_assignment:
            self.last_assignment = _by_image(terms, len(targets))
        return dict(
            loss_discrepancy=terms.discrepancy, loss_universum=terms.universum
        )

    def forward(self, feats: Tensor, targets: Tensor) -> DALTerms:
        """Return the terms of a batch.

        Args:
            feats: Features of the pixels (N, d, h, w), behind a ReLU.
            targets: Labels (N, C) in [0, 1].
        """
        images, labels = (targets > 0).nonzero(as_tuple=True)
        if not self._started:
            self._warn_if_no_epoch()
            nothing = self._nothing(feats)
            return DALTerms(nothing, nothing, None, images)
        weights = targets[images, labels]
        image_feats = feats.mean(dim=(2, 3), dtype=torch.float32)
        # An image of one class needs no copy of its features.
        single = len(images) == len(feats) and bool((images.diff() == 1).all())
        entry_feats = feats.detach()
        found = self.assigner.assign(
            entry_feats if single else entry_feats[images],
            image_feats.detach()[images],
            labels,
        ).assignment
        discrepancy, universum = _means(
            self._discrepancy(feats, image_feats, found, images, weights),
            self._universum(feats, found, images, weights),
        )
        return DALTerms(
            self.discrepancy_weight * discrepancy,
            self.universum_weight * universum,
            found,
            images,
        )

    def _discrepancy(
        self,
        feats: Tensor,
        image_feats: Tensor,
        found: Tensor,
        images: Tensor,
        weights: Tensor,
    ) -> WeightedSum:
        """Return the sum of the entries' L_d and that of their weights."""
        most = max(self.assigner.num_source - 1, self.assigner.num_target)
        pixels = feats.flatten(2).transpose(1, 2)
        if found.numel() == 0 or pixels.shape[1] < most:
            return self._nothing(feats), weights.new_zeros(())
        samples = self.assigner.sample(found)
        own = image_feats[images][:, None]
        fake = pixels[images[:, None], samples.source].to(own.dtype)
        target = pixels[images[:, None], samples.target].to(own.dtype)
        source = torch.cat([own, fake], dim=1)
        values = self.discrepancy(source, target)
        # Entries that take no part are computed as well: their number is
        # known to the device alone.
        weights = weights * samples.enough
        return (values * weights).sum(), weights.sum()

    def _universum(
        self, feats: Tensor, found: Tensor, images: Tensor, weights: Tensor
    ) -> WeightedSum:
        """Return the sum of the pixels' L_u and that of their weights."""
        if found.numel() == 0:
            return self._nothing(feats), weights.new_zeros(())
        inside = (found == UNIVERSUM) * weights[:, None, None]
        per_pixel = inside.new_zeros((len(feats), *found.shape[1:]))
        per_pixel.index_add_(0, images, inside)
        size = feats.abs().mean(dim=1, dtype=torch.float32)
        return (size * per_pixel).sum(), per_pixel.sum()

    def _nothing(self, feats: Tensor) -> Tensor:
        """Return 0 with a graph that reaches all parameters."""
        nothing = feats[:, :, :1, :1].float().sum() * 0
        for parameter in self.parameters():
            nothing = nothing + parameter.sum() * 0
        return nothing

    def _warn_if_no_epoch(self) -> None:
        if self._epoch_known:
            return
        self._epoch_known = True
        print_log(
            f'start_epoch={self.start_epoch} never comes: DALLoss is not told '
            "the epoch. Add dict(type='HeadEpochHook') to custom_hooks.",
            logger='current',
            level=logging.WARNING,
        )


def _by_image(terms: DALTerms, count: int) -> Optional[Tensor]:
    """Return the assignment (N, h, w) of every image's first entry."""
    if terms.assignment is None:
        return None
    found = terms.assignment
    kept = found.new_zeros((count, *found.shape[1:]))
    images = torch.arange(count, device=found.device)
    first = torch.searchsorted(terms.images, images)
    has_one = torch.isin(images, terms.images)
    kept[has_one] = found[first[has_one]]
    return kept


def _means(*parts: WeightedSum) -> List[Tensor]:
    """Return weighted means, 0 with a graph where all weights are 0."""
    weights = torch.stack([weight.float() for _, weight in parts])
    if get_world_size() > 1:
        all_reduce(weights, op='mean')
    # Adding 1 where the sum is 0 keeps it exact elsewhere.
    weights = weights + (weights == 0)
    return [part / weight for (part, _), weight in zip(parts, weights)]
