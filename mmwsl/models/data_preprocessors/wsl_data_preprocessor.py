"""Normalisation and collation on the device."""

from typing import Any, Dict, List, Optional, Sequence, Union

import torch
from mmengine.model import ImgDataPreprocessor
from torch import Tensor, nn

from mmwsl.registry import MODELS


@MODELS.register_module()
class WSLDataPreprocessor(ImgDataPreprocessor):
    """mmengine's preprocessor with batch augmentations.

    Images of one size are stacked as bytes and normalised together; only
    batches of several sizes take mmengine's way, image by image with
    padding.

    Args:
        batch_augments: Modules ``(inputs, data_samples) -> (inputs,
            data_samples)`` that training applies one after another.
        kwargs: Arguments of mmengine's ImgDataPreprocessor.
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
        inputs = data['inputs']
        samples = data.get('data_samples')
        if isinstance(inputs, Tensor) or _same_shape(inputs):
            inputs = self._normalize_together(inputs)
            if samples is not None:
                samples = self.cast_data(samples)
        else:
            out = super().forward(
                {'inputs': inputs, 'data_samples': samples}, training
            )
            inputs, samples = out['inputs'], out['data_samples']
        if training:
            for augment in self.batch_augments:
                inputs, samples = augment(inputs, samples)
        return {'inputs': inputs, 'data_samples': samples}

    def _normalize_together(
        self, inputs: Union[Tensor, Sequence[Tensor]]
    ) -> Tensor:
        """Stack, normalise and pad images of one size."""
        if isinstance(inputs, Tensor):
            batch = inputs
        else:
            batch = torch.stack(list(inputs))
        batch = self.cast_data(batch)
        if self._channel_conversion and batch.shape[1] == 3:
            batch = batch.flip(1)
        batch = batch.float()
        if self._enable_normalize:
            batch = (batch - self.mean) / self.std
        height, width = batch.shape[-2:]
        pad = (
            0,
            -width % self.pad_size_divisor,
            0,
            -height % self.pad_size_divisor,
        )
        if any(pad):
            batch = nn.functional.pad(batch, pad, value=self.pad_value)
        return batch


def _same_shape(inputs: List[Tensor]) -> bool:
    return all(image.shape == inputs[0].shape for image in inputs)
