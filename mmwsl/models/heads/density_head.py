"""The head of class maps and density maps."""

import logging
from typing import Any, Dict, List, Optional, Sequence

import torch
from mmengine.logging import print_log
from mmengine.runner.amp import autocast
from mmengine.structures import PixelData
from torch import Tensor, nn

from mmwsl.models.heads.cam_head import CAMHead, check_choice
from mmwsl.models.heads.label_utils import (
    sample_absent,
    stack_gt_counts,
    stack_gt_scores,
)
from mmwsl.models.heads.maps import (
    average_views,
    input_shapes,
    valid_cells,
)
from mmwsl.models.heads.prm_head import PRMHead
from mmwsl.models.layers import top_peaks
from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample
from mmwsl.utils.arrays import unflip

REDUCTIONS = ('sum', 'mean')
_INIT_CFG = dict(
    type='Normal',
    layer='Conv2d',
    std=0.01,
    # A sum over hundreds of cells: with 0.01 counts would start anywhere.
    override=dict(type='Normal', name='density', std=0.001),
)


@MODELS.register_module()
class DensityHead(PRMHead):
    """Counting from image-level counts (LC, https://arxiv.org/abs/1903.02494).

    A :class:`PRMHead` with density maps beside its class maps. A shared 1x1
    convolution is split in two halves; each goes through BatchNorm, ReLU and
    a 1x1 convolution to C maps, the class maps M, scored by their peaks as
    in PRM, and the density maps D, whose sum is the count.
    Training uses counts up to ``max_count`` as numbers and larger ones only
    as "more than that"; classes whose objects are all marked difficult are
    positive for the class scores and take no part in the other losses.

    A sum depends on the number of cells: images have the same size in
    training and prediction, and no part of them may be cut off.

    Args:
        num_classes: C, background not counted.
        in_channels: Channels of the features.
        hidden_channels: Channels of each half, by default 1.5 C, rounded up.
        max_count: Largest count that training uses as a number.
        average: 'image' or 'batch', see
            :mod:`mmwsl.models.losses.density_losses`.
        spatial_start_epoch: Epoch, from 0, from which the spatial losses are
            used and absent classes count as 0 objects; before, the head
            learns classes and the counts of those present. Needs a
            HeadEpochHook in ``custom_hooks``. The paper's is 20.
        absent_rate: Share of the absent pairs of image and class that the
            losses of absent classes see, for rare classes. The authors use
            0.1 on COCO.
        absent_share: Classes present in less than this share of the batch
            are rare.
        count_reduction: 'sum', or 'mean' as in the authors' code: the count
            is the mean of D, which then is h w times larger. ``pred_density``
            sums to the count either way.
        loss_spatial: Changes of the config of SpatialLoss.
        loss_count: Changes of the config of CountLoss.
        loss_rank: Changes of the config of RankingLoss, whose weight is 0.1.
        peaks_by_count: Whether a class has no more peaks than its count, but
            one at least.
        retrieval: As PRMHead's; by default with ``gamma=0.2``, which uses
            the density.
        init_cfg: Initialisation; by default densities start near 0.
        **kwargs: Other arguments of :class:`PRMHead`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        hidden_channels: Optional[int] = None,
        max_count: int = 4,
        average: str = 'image',
        spatial_start_epoch: int = 0,
        absent_rate: float = 1.0,
        absent_share: float = 0.3,
        count_reduction: str = 'sum',
        loss_spatial: Optional[Dict] = None,
        loss_count: Optional[Dict] = None,
        loss_rank: Optional[Dict] = None,
        peaks_by_count: bool = False,
        retrieval: Optional[Dict] = None,
        init_cfg: Optional[Dict] = None,
        **kwargs: Any,
    ) -> None:
        check_choice('count_reduction', count_reduction, REDUCTIONS)
        # Half a class more than classes, as in the paper.
        hidden = hidden_channels or (3 * num_classes + 1) // 2
        super().__init__(
            num_classes,
            hidden,
            retrieval=retrieval
            or dict(type='mmwsl.ProposalRetrieval', gamma=0.2),
            init_cfg=init_cfg or _INIT_CFG,
            **kwargs,
        )
        self.spatial_start_epoch = spatial_start_epoch
        self.absent_rate = absent_rate
        self.absent_share = absent_share
        self.count_reduction = count_reduction
        self.peaks_by_count = peaks_by_count
        self.shared = nn.Conv2d(in_channels, 2 * hidden, 1)
        self.class_norm = nn.BatchNorm2d(hidden)
        self.density_norm = nn.BatchNorm2d(hidden)
        self.density = nn.Conv2d(hidden, num_classes, 1)
        shared = dict(max_count=max_count, average=average)
        self.loss_spatial = _build_loss('SpatialLoss', shared, loss_spatial)
        self.loss_count = _build_loss('CountLoss', shared, loss_count)
        self.loss_rank = _build_loss('RankingLoss', shared, loss_rank)
        self._spatial = spatial_start_epoch <= 0
        # Whether it is known which epoch this is, or has been complained.
        self._epoch_known = self._spatial

    def set_epoch(self, epoch: int) -> None:
        """Take note of the epoch of training, from 0."""
        self._spatial = epoch >= self.spatial_start_epoch
        self._epoch_known = True

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Return the class maps (N, C, h, w) of a tuple of features."""
        return self._maps(feats, density=False)

    def view_maps(self, feats: Sequence[Tensor]) -> Tensor:
        """Return class maps and, behind them, density maps (N, 2 C, h, w)."""
        return self._maps(feats, density=True)

    def counts(self, density: Tensor) -> Tensor:
        """Reduce density maps (N, C, h, w) to counts (N, C)."""
        if self.count_reduction == 'mean':
            return density.mean(dim=(2, 3))
        return density.sum(dim=(2, 3))

    def loss(
        self, feats: Sequence[Tensor], data_samples: Sequence[WSLDataSample]
    ) -> Dict[str, Tensor]:
        """Return the losses of class scores, places and counts.

        Args:
            feats: Features of the backbone or neck.
            data_samples: N samples with ``gt_score`` and ``gt_count``.

        Returns:
            ``loss_cls``, ``loss_count``, ``loss_rank`` and, from
            ``spatial_start_epoch`` on, ``loss_spatial_pos`` and
            ``loss_spatial_neg``; scalars.

        Raises:
            ValueError: If the samples' labels or counts do not fit the head.
        """
        targets = stack_gt_scores(data_samples, self.num_classes)
        counts = stack_gt_counts(data_samples, self.num_classes)
        counts = sample_absent(counts, self.absent_rate, self.absent_share)
        self._warn_if_no_epoch()
        class_maps, density = self.view_maps(feats).float().chunk(2, dim=1)
        self.record(class_maps)
        scores, peaks = self.stimulate(class_maps)
        predicted = self.counts(density)
        losses = dict(
            loss_cls=self.loss_module(scores, targets),
            loss_count=self.loss_count(predicted, counts, self._spatial),
            loss_rank=self.loss_rank(predicted, counts),
        )
        if self._spatial:
            mask = top_peaks(class_maps, peaks, counts)
            positive, negative = self.loss_spatial(density, mask, counts)
            losses.update(loss_spatial_pos=positive, loss_spatial_neg=negative)
        return losses

    def predict_views(
        self, views: Sequence[Tensor], data_samples: Sequence[WSLDataSample]
    ) -> List[WSLDataSample]:
        """Predict scores, maps, counts and peaks.

        Args:
            views: Class and density maps (N, 2 C, h, w) of each view,
                already flipped back. Densities are averaged on the grid of
                the first view, which should have the scale of the training.
            data_samples: N samples.

        Returns:
            The samples with what :class:`mmwsl.models.heads.PRMHead`
            predicts, ``pred_density`` (C, h, w), cells that see the image
            only, and ``pred_count`` (C,), the rounded sums of it, 0 for
            classes whose score is not above ``score_threshold``.
        """
        halves = [view.detach().float().chunk(2, dim=1) for view in views]
        # The peaks come last, for counts may limit them.
        CAMHead.predict_views(self, [maps for maps, _ in halves], data_samples)
        for index, sample in enumerate(data_samples):
            density = average_views([part[index] for _, part in halves])
            self._count(sample, valid_cells(density, *input_shapes(sample)))
            most = sample.pred_count.clamp(min=1)
            self._choose_peaks(
                sample,
                [maps[index] for maps, _ in halves],
                most if self.peaks_by_count else None,
            )
        return list(data_samples)

    def _maps(self, feats: Sequence[Tensor], density: bool) -> Tensor:
        # Sums over channels and cells leave the range of half precision.
        feature = feats[self.in_index].to(self.classifier.weight.dtype)
        with autocast(feature.device.type, enabled=False):
            own, other = self.shared(self.dropout(feature)).chunk(2, dim=1)
            maps: Tensor = self.classifier(self.class_norm(own).relu())
            if density:
                other = self.density(self.density_norm(other).relu())
                maps = torch.cat([maps, other], dim=1)
        return maps

    def _count(self, sample: WSLDataSample, density: Tensor) -> None:
        """Set the density (C, h, w) and the counts of one sample."""
        if self.count_reduction == 'mean':
            density = density / max(density[0].numel(), 1)
        if self.multi_label:
            present = sample.pred_score > self.score_threshold
        else:
            present = torch.zeros_like(sample.pred_score, dtype=torch.bool)
            present[sample.pred_label] = True
        counts = density.sum(dim=(1, 2)).round().clamp(min=0)
        sample.set_pred_count(counts * present)
        sample.pred_density = PixelData(
            data=unflip(density, sample.get('flip_direction'))
        )

    def _warn_if_no_epoch(self) -> None:
        if self._epoch_known:
            return
        self._epoch_known = True
        print_log(
            f'spatial_start_epoch={self.spatial_start_epoch} never comes: '
            "DensityHead is not told the epoch. Add dict(type='HeadEpochHook')"
            ' to custom_hooks.',
            logger='current',
            level=logging.WARNING,
        )


def _build_loss(kind: str, shared: Dict, changes: Optional[Dict]) -> Any:
    config = dict(type=f'mmwsl.{kind}', **shared)
    return MODELS.build({**config, **(changes or {})})
