"""Unpacking labels from data samples."""

from typing import List, Sequence

import torch
from torch import Tensor

from mmwsl.structures import WSLDataSample


def stack_gt_scores(
    data_samples: Sequence[WSLDataSample], num_classes: int
) -> Tensor:
    """Stack the image labels of a batch.

    Args:
        data_samples: N samples with ``gt_score``.
        num_classes: C, the number that the head expects.

    Returns:
        Multi-hot labels (N, C).

    Raises:
        ValueError: If a sample has no labels or another number of classes.
    """
    rows: List[Tensor] = []
    for sample in data_samples:
        if 'gt_score' not in sample:
            raise ValueError(
                f'{_name(sample)}: the sample has no image labels '
                "('gt_score'); training needs them, and prediction does "
                "unless model.head.keep is 'predicted' or 'all'."
            )
        if len(sample.gt_score) != num_classes:
            raise ValueError(
                f'{_name(sample)}: the data set has {len(sample.gt_score)} '
                f'classes, but the head has num_classes={num_classes}.'
            )
        rows.append(sample.gt_score)
    return torch.stack(rows) if rows else torch.zeros(0, num_classes)


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
                f'{_name(sample)}: the sample has no object counts '
                "('gt_count'), for the label file holds classes only; "
                'DensityHead learns from counts, which FolderDataset reads '
                'from lines path,class,count and VOCImageLevelDataset from '
                'XML files.'
            )
        if len(sample.gt_count) != num_classes:
            raise ValueError(
                f'{_name(sample)}: there are counts of '
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


def check_single_label(
    data_samples: Sequence[WSLDataSample], targets: Tensor
) -> None:
    """Refuse images without or with several classes.

    Args:
        data_samples: N samples, for their names.
        targets: Multi-hot labels (N, C), or shares of mixed images.

    Raises:
        ValueError: Naming the first such image.
    """
    for sample, count in zip(data_samples, targets.sum(dim=1).tolist()):
        # Labels of mixed images are fractions that add up to 1.
        if abs(count - 1) > 1e-4:
            raise ValueError(
                f'{_name(sample)}: the image has {int(count)} classes, but '
                'the head has multi_label=False and needs exactly one.'
            )


def _name(sample: WSLDataSample) -> str:
    return str(sample.get('img_path') or sample.get('img_id', 'an image'))
