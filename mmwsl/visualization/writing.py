"""Pictures on disk."""

import os
from typing import Any

import cv2
import numpy as np


def write_image(path: str, image: np.ndarray) -> None:
    """Write an RGB image; the suffix says the format.

    Args:
        path (str): File to write; its folder is created.
        image (np.ndarray): (H, W, 3) uint8, RGB.

    Raises:
        OSError: If the file cannot be written.
        ValueError: If OpenCV does not know the suffix.
    """
    suffix = os.path.splitext(path)[1]
    bgr = np.ascontiguousarray(image[..., ::-1])
    try:
        done, data = cv2.imencode(suffix, bgr)
    except cv2.error:
        done = False
    if not done:
        raise ValueError(f'{path}: {suffix!r} is no image format for writing')
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, 'wb') as file:
        file.write(data.tobytes())


def safe_path(img_id: Any) -> str:
    """A relative path for an image id that cannot leave its folder.

    Sub-folders are kept: ids are relative paths without suffix.

    Args:
        img_id: The id, or anything that has a text.

    Returns:
        str: A path without leading slash, '..' and empty parts.
    """
    parts = str(img_id).replace('\\', '/').split('/')
    kept = [part for part in parts if part not in ('', '.', '..')]
    return '/'.join(kept) or 'image'
