"""Label maps on disk.

Shape shorthand: (H, W) the image.
"""

import io

import numpy as np
from PIL import Image

from mmwsl.pseudo_labels.checks import check_label
from mmwsl.utils.files import write_whole
from mmwsl.utils.images import read_plane, voc_color_map


def write_label_map(path: str, label: np.ndarray) -> None:
    """Write a label map as VOC does; the file appears whole or not at all.

    Args:
        path: File to write, a ``.png``; its folder is created.
        label: uint8 (H, W): 0 background, c + 1 class c, 255 ignored. The
            picture holds these indices and VOC's colours as palette.

    Raises:
        ValueError: If the label map is something else.
    """
    if label.dtype != np.uint8 or label.ndim != 2 or not label.size:
        raise ValueError(
            f'{path}: a label map is uint8 (H, W), got {label.dtype} '
            f'{label.shape}'
        )
    picture = Image.fromarray(label)
    picture.putpalette([value for rgb in voc_color_map() for value in rgb])
    buffer = io.BytesIO()
    picture.save(buffer, format='PNG')
    write_whole(path, buffer.getvalue())


def read_label_map(path: str) -> np.ndarray:
    """Read a label map.

    Args:
        path: A picture of indices.

    Returns:
        uint8 (H, W): 0 background, c + 1 class c, 255 ignored.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no picture of indices from 0 to 255.
    """
    plane = read_plane(path, 'label map')
    if plane.dtype.kind == 'f':
        raise ValueError(f'{path}: label map holds floats, not indices')
    return check_label(plane.astype(np.int32), f'{path}: label map')
