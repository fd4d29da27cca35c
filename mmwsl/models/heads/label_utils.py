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
    return torch.stack(rows)


def check_single_label(
    data_samples: Sequence[WSLDataSample], targets: Tensor
) -> None:
    """Refuse images without or with several classes.

    Args:
        data_samples: N samples, for their names.
        targets: Multi-hot labels (N, C).

    Raises:
        ValueError: Naming the first such image.
    """
    for sample, count in zip(data_samples, targets.sum(dim=1).tolist()):
        if count != 1:
            raise ValueError(
                f'{_name(sample)}: the image has {int(count)} classes, but '
                'the head has multi_label=False and needs exactly one.'
            )


def _name(sample: WSLDataSample) -> str:
    return str(sample.get('img_path') or sample.get('img_id', 'an image'))
