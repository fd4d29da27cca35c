"""Cutting out a random part of fixed size."""

import random
from typing import Any, Dict, Tuple, Union

from mmcv.transforms import BaseTransform

from mmwsl.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomCrop(BaseTransform):
    """Cut out a random part of fixed size.

    Only ``img`` and ``img_shape`` change: pixel-wise ground truth belongs in
    evaluation pipelines, which do not crop.

    Args:
        size (int | tuple[int]): Width and height of the part, or both.

    Raises:
        ValueError: If an image is smaller than the part.
    """

    def __init__(self, size: Union[int, Tuple[int, int]]) -> None:
        self.size = (size, size) if isinstance(size, int) else tuple(size)

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Crop ``img``."""
        img, (width, height) = results['img'], self.size
        room = (img.shape[0] - height, img.shape[1] - width)
        if min(room) < 0:
            raise ValueError(
                f'RandomCrop: image is {img.shape[1]} x {img.shape[0]} '
                f'pixels, too small for a part of {width} x {height}'
            )
        top, left = random.randint(0, room[0]), random.randint(0, room[1])
        results['img'] = img[top : top + height, left : left + width]
        results['img_shape'] = (height, width)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size})'
