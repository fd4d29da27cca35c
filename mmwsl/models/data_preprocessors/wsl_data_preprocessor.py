"""Collation, normalisation and augmentation of batches on the device."""

import math
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import torch
from mmengine.model import ImgDataPreprocessor
from torch import Tensor, nn

from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample

Samples = Optional[List[WSLDataSample]]
# Labels of the unmixed image, which would be wrong.
DROPPED = ('gt_label', 'gt_count', 'gt_label_difficult')


@MODELS.register_module()
class WSLDataPreprocessor(ImgDataPreprocessor):
    """mmengine's preprocessor with batch augmentations.

    Images of one size are stacked as bytes and normalised together; only
    those of several sizes are taken one by one and padded.

    Args:
        batch_augments: Modules ``(inputs, data_samples) -> (inputs,
            data_samples)`` that training applies one after another.
        **kwargs: Arguments of mmengine's ImgDataPreprocessor.
    """

    def __init__(
        self,
        batch_augments: Optional[Sequence[Union[Dict, nn.Module]]] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.batch_augments = nn.ModuleList(
            MODELS.build(augment) for augment in batch_augments or []
        )

    def forward(
        self, data: Dict[str, Any], training: bool = False
    ) -> Dict[str, Any]:
        """Collate, move, normalise and augment one batch.

        Args:
            data: ``inputs``, a list of uint8 images (3, H, W) or a stacked
                tensor (N, 3, H, W), and optionally ``data_samples``.
            training: Whether batch augmentations are applied.

        Returns:
            ``inputs`` float (N, 3, H, W) and ``data_samples``.
        """
        inputs, samples = data['inputs'], data.get('data_samples')
        shapes = {image.shape for image in inputs}
        if len(shapes) == 1 and not isinstance(inputs, Tensor):
            inputs = torch.stack(list(inputs))
        data = {'inputs': inputs, 'data_samples': samples}
        data = super().forward(data, training)
        inputs, samples = data['inputs'], data['data_samples']
        if training:
            for augment in self.batch_augments:
                inputs, samples = augment(inputs, samples)
        return {'inputs': inputs, 'data_samples': samples}


@MODELS.register_module()
class HideAndSeek(nn.Module):
    """Hide-and-seek (https://arxiv.org/abs/1704.04232).

    A grid of squares lies over every image from its upper left corner on;
    each square is hidden by itself.

    Args:
        grid_size: Side of a square in pixels.
        drop_rate: Probability that a square is hidden.
        fill: What hidden pixels become; 0 is the mean pixel that the
            normalisation has subtracted.
    """

    def __init__(
        self, grid_size: int = 50, drop_rate: float = 0.66, fill: float = 0.0
    ) -> None:
        super().__init__()
        if grid_size < 1:
            raise ValueError(f'grid_size must be at least 1, got {grid_size}.')
        if not 0 <= drop_rate <= 1:
            raise ValueError(f'drop_rate must be in [0, 1], got {drop_rate}.')
        self.grid_size = grid_size
        self.drop_rate = drop_rate
        self.fill = fill

    def forward(
        self, inputs: Tensor, data_samples: Samples = None
    ) -> Tuple[Tensor, Samples]:
        """Hide squares of normalised images (N, 3, H, W)."""
        count, _, height, width = inputs.shape
        grid = [-(-side // self.grid_size) for side in (height, width)]
        hidden = (
            torch.rand((count, 1, *grid), device=inputs.device)
            < self.drop_rate
        )
        for dim in (2, 3):
            hidden = hidden.repeat_interleave(self.grid_size, dim)
        hidden = hidden[..., :height, :width]
        return inputs.masked_fill(hidden, self.fill), data_samples


@MODELS.register_module()
class CutMix(nn.Module):
    """CutMix (https://arxiv.org/abs/1905.04899).

    With probability ``prob`` a batch gets one rectangle, in which every
    image shows another image of the batch. ``gt_score`` becomes the mean of
    both labels, weighted by the areas; losses that take such labels, the
    classification losses and DALLoss, are mixed by them. ``gt_label`` and
    counts are left out of mixed samples.

    Args:
        beta: Parameter of the Beta distribution of the first image's share.
        prob: Probability that a batch is mixed.
    """

    def __init__(self, beta: float = 1.35, prob: float = 0.34) -> None:
        super().__init__()
        if beta <= 0:
            raise ValueError(f'beta must be positive, got {beta}.')
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be in [0, 1], got {prob}.')
        self.beta = torch.distributions.Beta(beta, beta)
        self.prob = prob

    def forward(
        self, inputs: Tensor, data_samples: Samples = None
    ) -> Tuple[Tensor, Samples]:
        """Mix images (N, 3, H, W) and the ``gt_score`` of their samples."""
        if len(inputs) < 2 or float(torch.rand(())) >= self.prob:
            return inputs, data_samples
        rows, columns = self._rectangle(*inputs.shape[2:])
        order = torch.randperm(len(inputs)).tolist()
        mixed = inputs.clone()
        mixed[:, :, rows, columns] = inputs[order][:, :, rows, columns]
        area = (rows.stop - rows.start) * (columns.stop - columns.start)
        share = 1 - area / (inputs.shape[2] * inputs.shape[3])
        if data_samples is None:
            return mixed, None
        return mixed, [
            _mix(sample, data_samples[other], share)
            for sample, other in zip(data_samples, order)
        ]

    def _rectangle(self, height: int, width: int) -> Tuple[slice, slice]:
        """Draw a rectangle; where it leaves the image it is cut off."""
        side = math.sqrt(1 - float(self.beta.sample()))
        center_y, center_x = torch.rand(2).tolist()
        return _range(center_y, side, height), _range(center_x, side, width)


def _range(center: float, share: float, size: int) -> slice:
    half = int(share * size) // 2
    middle = int(center * size)
    return slice(max(middle - half, 0), min(middle + half, size))


def _mix(
    sample: WSLDataSample, other: WSLDataSample, share: float
) -> WSLDataSample:
    mixed = sample.clone()
    mixed.gt_score = share * sample.gt_score + (1 - share) * other.gt_score
    for name in DROPPED:
        if name in mixed:
            delattr(mixed, name)
    return mixed
