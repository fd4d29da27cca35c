"""Label maps and masks on disk.

Shape shorthand: (H, W) the image.
"""

import io
from typing import Any, Dict

import numpy as np
from PIL import Image

from mmwsl.pseudo_labels.whole_file import write_whole


def write_label_map(path: str, label: np.ndarray) -> None:
    """Write a label map as VOC does; the file appears whole or not at all.

    Args:
        path: File to write, a ``.png``; its folder is created.
        label: uint8 (H, W): 0 background, c + 1 class c, 255 ignored. The
            picture holds these indices and VOC's colours as palette.

    Raises:
        ValueError: If the label map is something else.
    """
    # Here, because the data sets import this module, too.
    from mmwsl.datasets.palettes import voc_color_map

    if label.dtype != np.uint8 or label.ndim != 2:
        raise ValueError(
            f'{path}: a label map is uint8 (H, W), got {label.dtype} '
            f'{label.shape}'
        )
    picture = Image.fromarray(label)
    picture.putpalette([value for rgb in voc_color_map() for value in rgb])
    buffer = io.BytesIO()
    picture.save(buffer, format='PNG')
    write_whole(path, buffer.getvalue())


def encode_mask(mask: np.ndarray) -> Dict[str, Any]:
    """Encode a mask as COCO's uncompressed run lengths.

    Args:
        mask: bool (H, W).

    Returns:
        ``size`` [H, W] and ``counts``, the lengths of runs of 0, 1, 0, ...
        down the columns, the first of which may be 0.
    """
    flat = np.asarray(mask, bool).ravel(order='F')
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff([0, *changes.tolist(), flat.size]).tolist()
    if flat.size and flat[0]:
        counts = [0, *counts]
    return dict(size=list(mask.shape), counts=counts)
