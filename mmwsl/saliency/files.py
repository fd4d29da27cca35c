"""Saliency maps on disk."""

import io
import json
from typing import Any, Dict, Optional

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mmwsl.pseudo_labels.whole_file import write_whole
from mmwsl.utils.images import open_picture

# Where a picture keeps what its map was made with.
_KEY = 'mmwsl-saliency'


def write_saliency(
    path: str, saliency: np.ndarray, settings: Dict[str, Any]
) -> None:
    """Write a saliency map; the file appears whole or not at all.

    Args:
        path (str): The file, a ``.png``; its folder is created.
        saliency (np.ndarray): (H, W) in [0, 1]; written as 0 to 255.
        settings (dict): What the map was made with; kept in the file.

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
    """Read what a saliency map was made with.

    Args:
        path (str): A picture.

    Returns:
        dict | None: None if :func:`write_saliency` did not write it.

    Raises:
        ValueError: If the file is no picture.
    """
    with open_picture(path, 'saliency map') as picture:
        text = picture.info.get(_KEY)
    if text is None:
        return None
    settings: Dict[str, Any] = json.loads(text)
    return settings
