"""Loading images, with one clear line for each broken one."""

import os
from typing import Any, Dict, Optional

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform

from mmwsl.registry import TRANSFORMS

# Markers without a length field: TEM, RST0 to RST7, SOI.
_BARE_JPEG_MARKERS = {0x01, *range(0xD0, 0xD9)}


@TRANSFORMS.register_module()
class LoadWSLImage(BaseTransform):
    """Load an image of any format that OpenCV reads as BGR uint8 (H, W, 3).

    Grey and palette images become three channels, 16 bits become 8, an alpha
    channel is dropped. OpenCV 4 silently fills up the missing rest of a
    truncated JPEG with grey, OpenCV 5 says nothing of why it refuses the
    file; here it is a clear error. An entry that holds ``img`` already, such
    as one of ``ToyDataset``, passes through.

    Required keys: ``img_path``. Added keys: ``img``, ``img_shape``,
    ``ori_shape``, the latter two as (H, W).

    Args:
        exif_orientation (bool): Whether to turn the image as its EXIF entry
            says, which is mmcv's default. Masks are often drawn for the
            unturned image.
        min_size (int): Smallest accepted height and width, in pixels.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty, truncated, no image or too small.
    """

    def __init__(
        self, exif_orientation: bool = True, min_size: int = 8
    ) -> None:
        self.flag = 'color' if exif_orientation else 'color_ignore_orientation'
        self.min_size = min_size

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Add the image to ``results``."""
        if results.get('img') is None:
            results['img'] = self._load(results['img_path'])
        height, width = results['img'].shape[:2]
        results['img_shape'] = results['ori_shape'] = (height, width)
        return results

    def _load(self, path: str) -> np.ndarray:
        if not os.path.isfile(path):
            raise FileNotFoundError(f'{path}: image file does not exist')
        with open(path, 'rb') as file:
            content = file.read()
        if not content:
            raise ValueError(f'{path}: image file is empty')
        problem = truncation(content)
        if problem:
            raise ValueError(f'{path}: {problem}')
        try:
            img = mmcv.imfrombytes(content, flag=self.flag, backend='cv2')
        except cv2.error as error:
            raise ValueError(f'{path}: image cannot be decoded') from error
        if img is None:
            raise ValueError(f'{path}: image cannot be decoded')
        height, width = img.shape[:2]
        if min(height, width) < self.min_size:
            raise ValueError(
                f'{path}: image is {width} x {height} pixels, at least '
                f'{self.min_size} x {self.min_size} are needed'
            )
        return img

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(flag={self.flag!r}, '
            f'min_size={self.min_size})'
        )


def truncation(content: bytes) -> Optional[str]:
    """Say how a JPEG or PNG file is truncated, without decoding it.

    Args:
        content (bytes): The whole file.

    Returns:
        str | None: One phrase, None for whole files and for other formats.
    """
    if content.startswith(b'\xff\xd8'):
        start = _jpeg_scan_start(content)
        # After the first scan's header an end marker cannot be picture data,
        # and the thumbnail, which has one of its own, lies before it.
        if start < 0 or content.rfind(b'\xff\xd9', start) < 0:
            return 'truncated JPEG (no end marker)'
    elif content.startswith(b'\x89PNG') and content.rfind(b'IEND') < 0:
        return 'truncated PNG (no end chunk)'
    return None


def _jpeg_scan_start(content: bytes) -> int:
    """Return where the first scan starts, -1 if the file ends before."""
    position, size = 2, len(content)
    while position + 4 <= size:
        if content[position] != 0xFF:
            # Not a marker: decoders skip stray bytes between segments.
            position += 1
            continue
        marker = content[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker in _BARE_JPEG_MARKERS:
            position += 2
        elif marker == 0xDA:
            return position
        else:
            length = int.from_bytes(
                content[position + 2 : position + 4], 'big'
            )
            position += 2 + length
    return -1
