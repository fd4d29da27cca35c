"""Augmentations that mmcv does not have.

(H, W): size of the image before, (h, w): after a transform. Crops change
``img`` and ``img_shape`` alone: pixel-wise ground truth belongs in
evaluation pipelines, which do not crop.
"""

import math
import random
from typing import Sequence, Tuple, Union

import cv2
import mmcv
import numpy as np
import torchvision

from mmwsl.datasets.transforms.base import Results, Transform
from mmwsl.registry import TRANSFORMS

Strength = Union[float, Sequence[float]]


@TRANSFORMS.register_module()
class RandomResizedCrop(Transform):
    """Cut out a random part and resize it, as torchvision does.

    The part's share of the area is uniform and its aspect ratio log-uniform
    in the given ranges. If ten draws do not fit into the image, it is the
    largest central part whose aspect ratio is in its range.

    Args:
        scale: Width and height of the result, or both.
        crop_ratio_range: Range of the part's area over H * W.
        aspect_ratio_range: Range of its width over height.
        interpolation: mmcv's name of the interpolation.

    Raises:
        ValueError: If a range is not ascending or not positive.
    """

    def __init__(
        self,
        scale: Union[int, Tuple[int, int]],
        crop_ratio_range: Tuple[float, float] = (0.08, 1.0),
        aspect_ratio_range: Tuple[float, float] = (3 / 4, 4 / 3),
        interpolation: str = 'bilinear',
    ) -> None:
        self.scale = (scale, scale) if isinstance(scale, int) else tuple(scale)
        self.crop_ratio_range = crop_ratio_range
        self.aspect_ratio_range = aspect_ratio_range
        self.interpolation = interpolation
        for name in ('crop_ratio_range', 'aspect_ratio_range'):
            limits = getattr(self, name)
            if not 0 < limits[0] <= limits[1]:
                raise ValueError(
                    f'RandomResizedCrop: {name} must be two ascending '
                    f'positive numbers, got {limits}'
                )

    def transform(self, results: Results) -> Results:
        """Crop and resize ``img``."""
        img = results['img']
        top, left, height, width = self._draw(*img.shape[:2])
        results['img'] = mmcv.imresize(
            img[top : top + height, left : left + width],
            self.scale,
            interpolation=self.interpolation,
        )
        results['img_shape'] = results['img'].shape[:2]
        return results

    def _draw(self, height: int, width: int) -> Tuple[int, int, int, int]:
        """Draw top, left, height and width of the part."""
        low, high = (math.log(ratio) for ratio in self.aspect_ratio_range)
        for _ in range(10):
            area = height * width * random.uniform(*self.crop_ratio_range)
            ratio = math.exp(random.uniform(low, high))
            part_width = round(math.sqrt(area * ratio))
            part_height = round(math.sqrt(area / ratio))
            if 0 < part_width <= width and 0 < part_height <= height:
                top = random.randint(0, height - part_height)
                left = random.randint(0, width - part_width)
                return top, left, part_height, part_width
        low, high = self.aspect_ratio_range
        part_height = min(max(round(width / low), 1), height)
        part_width = min(max(round(height * high), 1), width)
        top, left = (height - part_height) // 2, (width - part_width) // 2
        return top, left, part_height, part_width


@TRANSFORMS.register_module()
class RandomCrop(Transform):
    """Cut out a random part of fixed size.

    Args:
        size: Width and height of the part, or both.

    Raises:
        ValueError: If an image is smaller than the part.
    """

    def __init__(self, size: Union[int, Tuple[int, int]]) -> None:
        self.size = (size, size) if isinstance(size, int) else tuple(size)

    def transform(self, results: Results) -> Results:
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


@TRANSFORMS.register_module()
class ColorJitter(Transform):
    """Change brightness, contrast, saturation and hue in random order.

    The numbers are those of :class:`torchvision.transforms.ColorJitter`: a
    factor is uniform in [max(0, 1 - x), 1 + x], or in the range given; the
    hue is shifted by a share of the colour circle uniform in [-x, x], or in
    the range given.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        brightness: Strength = 0.0,
        contrast: Strength = 0.0,
        saturation: Strength = 0.0,
        hue: Strength = 0.0,
    ) -> None:
        checked = torchvision.transforms.ColorJitter(
            brightness, contrast, saturation, hue
        )
        # Ranges of the factors, None where nothing changes.
        self.brightness = checked.brightness
        self.contrast = checked.contrast
        self.saturation = checked.saturation
        self.hue = checked.hue

    def transform(self, results: Results) -> Results:
        """Change the colours of ``img``, uint8 (H, W, 3) in BGR order."""
        steps = [
            (adjust_brightness, self.brightness),
            (adjust_contrast, self.contrast),
            (mmcv.adjust_color, self.saturation),
            (adjust_hue, self.hue),
        ]
        random.shuffle(steps)
        for adjust, limits in steps:
            if limits is not None:
                factor = random.uniform(*limits)
                results['img'] = adjust(results['img'], factor)
        return results


def adjust_brightness(
    img: np.ndarray, factor: float, center: float = 0.0
) -> np.ndarray:
    """Multiply the distance of all values to ``center``."""
    table = center + (np.arange(256) - center) * factor
    return cv2.LUT(img, np.rint(table).clip(0, 255).astype(np.uint8))


def adjust_contrast(img: np.ndarray, factor: float) -> np.ndarray:
    """Multiply the distance to the mean grey value."""
    mean = cv2.mean(cv2.cvtColor(img, cv2.COLOR_BGR2GRAY))[0]
    return adjust_brightness(img, factor, mean)


def adjust_hue(img: np.ndarray, shift: float) -> np.ndarray:
    """Shift the hue by a share of the circle.

    mmcv's function of this name fails for negative shifts under numpy 2.
    """
    hsv = cv2.cvtColor(img, cv2.COLOR_BGR2HSV_FULL)
    table = (np.arange(256) + round(shift * 256)) % 256
    hsv[..., 0] = table.astype(np.uint8)[hsv[..., 0]]
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR_FULL)
