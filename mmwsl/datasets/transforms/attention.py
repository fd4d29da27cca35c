"""Loading what a model has attended to."""

from typing import Any, Dict, Optional, Tuple

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData

from mmwsl.pseudo_labels.attention import Attention, read_attention
from mmwsl.registry import TRANSFORMS

_FLIPS = {'horizontal': (2,), 'vertical': (1,), 'diagonal': (1, 2)}


@TRANSFORMS.register_module()
class LoadAttention(BaseTransform):
    """Add the accumulated attention of an image to its packed sample.

    It comes after ``PackWSLInputs``, for it reads the sample's ``img_id``
    and ``gt_label`` and mirrors the maps as the image has been. Added field:
    ``attention``, PixelData (K, h, w) in [0, 1] of the K classes in
    ``gt_label``.

    Args:
        path (str): File of AttentionAccumulationHook.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it lacks the image or one of its classes, or if the
            transform does not come after ``PackWSLInputs``.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._attention: Optional[Attention] = None
        self._shape: Tuple[int, ...] = ()

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Add ``attention`` to the sample in ``results``."""
        if 'data_samples' not in results:
            raise ValueError('LoadAttention must come after PackWSLInputs')
        if self._attention is None:
            self._attention = read_attention(self.path)
            self._shape = self._common_shape(self._attention)
        sample = results['data_samples']
        labels = sample.gt_label.tolist()
        if labels and sample.img_id not in self._attention:
            raise ValueError(
                f'{self.path}: holds no attention of {sample.img_id}'
            )
        maps = self._attention.get(sample.img_id, {})
        missing = [label for label in labels if label not in maps]
        if missing:
            raise ValueError(
                f'{self.path}: holds no attention of class {missing[0]} of '
                f'{sample.img_id}'
            )
        stack = np.zeros((len(labels), *self._shape), np.float32)
        for row, label in zip(stack, labels):
            row[:] = maps[label]
        direction = sample.get('flip_direction')
        if direction:
            stack = np.flip(stack, _FLIPS[direction])
        sample.attention = PixelData(
            data=torch.from_numpy(np.ascontiguousarray(stack))
        )
        return results

    def _common_shape(self, attention: Attention) -> Tuple[int, ...]:
        """Return the size of all maps: they are stacked in batches."""
        shapes = {
            m.shape for maps in attention.values() for m in maps.values()
        }
        if not shapes:
            raise ValueError(f'{self.path}: holds no attention at all')
        if len(shapes) > 1:
            (h, w), (other_h, other_w) = sorted(shapes)[:2]
            raise ValueError(
                f'{self.path}: holds maps of {w} x {h} and of '
                f'{other_w} x {other_h}, not of one size'
            )
        return shapes.pop()

    def __repr__(self) -> str:
        return f'{type(self).__name__}(path={self.path!r})'
