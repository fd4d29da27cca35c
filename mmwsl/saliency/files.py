"""Saliency maps (H, W) on disk."""

import io
import json
import os
from typing import Any, Dict, Optional

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mmwsl.utils.files import say_once, write_whole
from mmwsl.utils.images import open_picture, read_plane

# Where a picture keeps what its map was made with.
_KEY = 'mmwsl-saliency'
_WHAT = 'saliency map'


def read_saliency(path: str) -> np.ndarray:
    """Read a saliency map as float32 (H, W) in [0, 1].

    It is a grey picture: black and white, of 8 or 16 bits, or of floats in
    [0, 1].

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is broken, coloured, as masks of classes are, or
            of values whose scale is not known.
    """
    plane = read_plane(path, _WHAT, indices=False)
    low, high = plane.min(), plane.max()
    # 16-bit pictures come as uint16 or, from some versions of Pillow, as
    # int32. With no value of theirs above 255 they are meant as 8 bits.
    deep = plane.dtype.kind in 'iu' and plane.dtype.itemsize > 1
    scale = 65535 if deep else {'b': 1, 'u': 255, 'f': 1}[plane.dtype.kind]
    # A NaN fails every comparison.
    if not (low >= 0 and high <= scale) or (deep and 0 < high <= 255):
        raise ValueError(
            f'{path}: {_WHAT} holds {plane.dtype} values from {low:g} to '
            f'{high:g}, whose scale is not known; write it with 8 bits, 0 to '
            '255'
        )
    # A mask of 0 and 1, or 12 bits in 16.
    if (scale == 255 and high == 1) or (deep and 0 < high < 4096):
        say_once(
            f'{path}: a {_WHAT} of {plane.dtype} has no value above {high}, '
            f'which is read as {high} / {scale}; write it with 0 to 255',
            f'{os.path.dirname(path)}: dark',
        )
    saliency: np.ndarray = plane.astype(np.float32) / scale
    return saliency


def write_saliency(
    path: str, saliency: np.ndarray, settings: Dict[str, Any]
) -> None:
    """Write a map (H, W) in [0, 1] as a ``.png`` of 0 to 255, whole or not.

    The file keeps the ``settings`` that the map was made with.

    Raises:
        ValueError: If the map is something else.
    """
    if saliency.ndim != 2 or not saliency.size:
        raise ValueError(
            f'{path}: a saliency map is (H, W), got {saliency.shape}'
        )
    if not (saliency.min() >= 0 and saliency.max() <= 1):
        raise ValueError(f'{path}: a saliency map is in [0, 1]')
    picture = Image.fromarray(np.rint(255 * saliency).astype(np.uint8))
    info = PngInfo()
    info.add_text(_KEY, json.dumps(settings, sort_keys=True))
    buffer = io.BytesIO()
    picture.save(buffer, format='PNG', pnginfo=info)
    write_whole(path, buffer.getvalue())


def read_settings(path: str) -> Optional[Dict[str, Any]]:
    """Read what a whole saliency map was made with.

    It is None if :func:`write_saliency` did not write it.

    Raises:
        ValueError: If the file is no whole picture.
    """
    with open_picture(path, _WHAT) as picture:
        text = picture.info.get(_KEY)
    try:
        settings = json.loads(text or 'null')
    except ValueError:
        return None
    return settings if isinstance(settings, dict) else None
