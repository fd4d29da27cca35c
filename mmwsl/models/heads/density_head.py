"""The head of class maps and density maps."""

from typing import Any, Dict, List, Optional, Sequence

import torch
from mmengine.runner.amp import autocast
from mmengine.structures import PixelData
from torch import Tensor, nn

from mmwsl.models.heads.cam_head import (
    CAMHead,
    average_views,
    check_choice,
    input_shapes,
    name_of,
    stack_gt_scores,
    valid_cells,
    warn_of_no_epoch,
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
            :mod:`mmwsl.models.losses.head_losses`.
        spatial_start_epoch: Epoch, from 0, from which the spatial losses are
            used and absent classes count as 0 objects; before, the head
            learns classes and the counts of those present. Needs a
            HeadEpochHook in ``custom_hooks``. The paper's is 20.
        count_absent: Whether absent classes count as 0 objects: always,
            never, or by default from ``spatial_start_epoch`` on.
        absent_rate: Share of the absent pairs of image and class that the
            losses of absent classes see, for rare classes. The authors use
            0.1 on COCO.
        absent_share: Classes present in less than this share of the batch
            are rare.
        log_linear: Whether the logarithms of densities are linear maps of
            the features, standardised by a BatchNorm without weights, and
            densities not maps of the ReLU of a half. A count moves the mean
            of thousands of cells by little, which few images do not teach a
            half; and here a cell's step grows with its density, so that the
            few cells of small objects come to hold it.
        density_channels: Channels of the features that log-linear densities
            come from, the first of the backbone's outputs; class maps come
            from the last. By default there is one output.
        mean_counts: The mean count of each class (C,) in training, with
            ``log_linear``: densities are in its units and begin there.
            By default 1.
        count_reduction: 'sum', or 'mean' as in the authors' code: the count
            is the mean of D, which then is h w times larger. ``pred_density``
            sums to the count either way.
        clamp_counts: Whether predicted counts below 0 become 0, which the
            authors' code leaves.
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
        count_absent: Optional[bool] = None,
        absent_rate: float = 1.0,
        absent_share: float = 0.3,
        log_linear: bool = False,
        density_channels: Optional[int] = None,
        mean_counts: Optional[Sequence[float]] = None,
        count_reduction: str = 'sum',
        clamp_counts: bool = True,
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
        self.count_absent = count_absent
        self.absent_rate = absent_rate
        self.absent_share = absent_share
        if self.upsample != 1:
            raise ValueError(
                'DensityHead scores class maps on the grid of the densities: '
                f'upsample must be 1, got {self.upsample}; peaks=dict('
                'upsample=...) is for instances.'
            )
        self.count_reduction = count_reduction
        self.clamp_counts = clamp_counts
        self.peaks_by_count = peaks_by_count
        self.log_linear = log_linear
        self.class_norm = nn.BatchNorm2d(hidden)
        halves, channels = 2, hidden
        if log_linear:
            halves, channels = 1, density_channels or in_channels
            if count_reduction == 'sum':
                raise ValueError(
                    "log_linear needs count_reduction='mean': its densities "
                    'begin at the mean count.'
                )
            unit = torch.tensor(mean_counts or [1.0] * num_classes).float()
            if len(unit) != num_classes:
                raise ValueError(
                    f'mean_counts must be {num_classes} numbers, one a class, '
                    f'got {len(unit)}'
                )
            self.register_buffer('unit', unit[:, None, None])
        self.shared = nn.Conv2d(in_channels, halves * hidden, 1)
        self.density_norm = nn.BatchNorm2d(channels, affine=not log_linear)
        self.density = nn.Conv2d(channels, num_classes, 1)
        counted = dict(max_count=max_count, average=average)
        self.loss_spatial, self.loss_count, self.loss_rank = (
            MODELS.build({'type': f'mmwsl.{kind}', **counted, **(own or {})})
            for kind, own in (
                ('SpatialLoss', loss_spatial),
                ('CountLoss', loss_count),
                ('RankingLoss', loss_rank),
            )
        )
        self._epoch: Optional[int] = None

    def set_epoch(self, epoch: int) -> None:
        """Take note of the epoch of training, from 0."""
        self._epoch = epoch

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
        if self._epoch is None:
            self._epoch = 0
            if self.spatial_start_epoch > 0:
                warn_of_no_epoch(
                    'DensityHead',
                    f'spatial_start_epoch={self.spatial_start_epoch}',
                )
        spatial = self._epoch >= self.spatial_start_epoch
        class_maps, density = self.view_maps(feats).float().chunk(2, dim=1)
        self.record(class_maps)
        scores, peaks = self.stimulate(class_maps)
        predicted = self.counts(density)
        absent = spatial if self.count_absent is None else self.count_absent
        losses = dict(
            loss_cls=self.loss_module(scores, targets),
            loss_count=self.loss_count(predicted, counts, absent),
            loss_rank=self.loss_rank(predicted, counts),
        )
        if spatial:
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
            The samples with what :class:`PRMHead` predicts,
            ``pred_density`` (C, h, w), cells that see the image only, and
            ``pred_count`` (C,), the rounded sums of it, 0 for classes that
            are not in ``pred_label``.
        """
        halves = [view.detach().float().chunk(2, dim=1) for view in views]
        # The peaks come last, for counts may limit them.
        CAMHead.predict_views(self, [maps for maps, _ in halves], data_samples)
        for index, sample in enumerate(data_samples):
            density = average_views([part[index] for _, part in halves])
            density = valid_cells(density, *input_shapes(sample))
            if self.count_reduction == 'mean':
                density = density / max(density[0].numel(), 1)
            present = torch.zeros_like(sample.pred_score, dtype=torch.bool)
            present[sample.pred_label] = True
            counts = density.sum(dim=(1, 2)).round()
            if self.clamp_counts:
                counts = counts.clamp(min=0)
            sample.pred_count = counts * present
            sample.pred_density = PixelData(
                data=unflip(density, sample.get('flip_direction'))
            )
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
            halves = self.shared(self.dropout(feature)).split(
                self.class_norm.num_features, dim=1
            )
            maps: Tensor = self.classifier(self.class_norm(halves[0]).relu())
            if density and self.log_linear:
                other = self.density(self.density_norm(feats[0].to(feature)))
                other = _tangent_exp(other) * self.unit
                maps = torch.cat([maps, other], dim=1)
            elif density:
                other = self.density(self.density_norm(halves[1]).relu())
                maps = torch.cat([maps, other], dim=1)
        return maps


def stack_gt_counts(
    data_samples: Sequence[WSLDataSample], num_classes: int
) -> Tensor:
    """Stack the object counts of a batch.

    Args:
        data_samples: N samples with ``gt_count`` and ``gt_score``.
        num_classes: C, the number that the head expects.

    Returns:
        Whole numbers (N, C), -1 where the count is unknown: for a class that
        the labels name, but of which only objects marked difficult are
        there. These do not count, yet the class is not absent either.

    Raises:
        ValueError: If a sample has no counts or another number of classes.
    """
    rows: List[Tensor] = []
    for sample in data_samples:
        if 'gt_count' not in sample:
            raise ValueError(
                f'{name_of(sample)}: the sample has no object counts '
                "('gt_count'), for the label file holds classes only; "
                'DensityHead learns from counts, which FolderDataset reads '
                'from lines path,class,count and VOCImageLevelDataset from '
                'XML files.'
            )
        if len(sample.gt_count) != num_classes:
            raise ValueError(
                f'{name_of(sample)}: there are counts of '
                f'{len(sample.gt_count)} classes, but the head has '
                f'num_classes={num_classes}.'
            )
        rows.append(sample.gt_count)
    counts = torch.stack(rows) if rows else torch.zeros(0, num_classes)
    labels = stack_gt_scores(data_samples, num_classes)
    return counts.masked_fill((counts == 0) & (labels > 0), -1)


def sample_absent(counts: Tensor, rate: float, share: float) -> Tensor:
    """Drop most absent pairs of rare classes from the losses.

    In data with many classes nearly all pairs of an image and a class are
    absent ones.

    Args:
        counts: Whole numbers (N, C).
        rate: Probability that an absent pair of a rare class is kept.
        share: A class is rare if it is in less than this share of the N
            images.

    Returns:
        The counts, -1 (unknown) where a pair is dropped.
    """
    if rate >= 1:
        return counts
    rare = (counts != 0).float().mean(dim=0) < share
    # Drawn on the CPU, where the seed of a run gives the same on any device.
    dropped = (torch.rand(counts.shape) >= rate).to(counts.device)
    return counts.masked_fill((counts == 0) & rare & dropped, -1)


def _tangent_exp(values: Tensor, largest: float = 2.0) -> Tensor:
    """Return exp of values, above the largest one its tangent there."""
    return values.clamp(max=largest).exp() * (1 + (values - largest).relu())
