"""Pictures on disk."""

import os

import cv2
import numpy as np

from mmwsl.utils.files import write_whole


def write_image(path: str, image: np.ndarray) -> None:
    """Write an RGB image, whole or not at all; the suffix says the format.

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
    write_whole(path, data.tobytes())
