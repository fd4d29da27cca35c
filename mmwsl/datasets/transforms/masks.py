"""Class masks: indexed pictures, and painted from instances."""

import numpy as np

from mmwsl.utils.images import read_plane


def read_index_mask(path: str) -> np.ndarray:
    """Read a mask that holds one index a pixel.

    Args:
        path (str): A palette picture, or a grey one.

    Returns:
        np.ndarray: uint8 or uint16 (H, W), the indices, not the colours, of
        a palette.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is broken, a colour picture, or holds what are no
            indices below 65536.
    """
    mask = read_plane(path, 'mask')
    low, high = mask.min(), mask.max()
    if mask.dtype.kind == 'f' or low < 0 or high > 65535:
        raise ValueError(
            f'{path}: mask holds {mask.dtype} values {low} to {high}, which '
            'are no indices'
        )
    return mask.astype(np.uint8 if high < 256 else np.uint16)


def class_masks_of_instances(
    masks: np.ndarray, labels: np.ndarray, name: str
) -> np.ndarray:
    """Paint the classes of instances, the largest one first.

    Args:
        masks (np.ndarray): bool (n, H, W).
        labels (np.ndarray): Their classes (n,).
        name (str): What to call the image in an error.

    Returns:
        np.ndarray: int64 (H, W), 0 background, c + 1 class c.

    Raises:
        ValueError: If a class would be written as 255, which means ignored.
    """
    if len(labels) and labels.max() >= 254:
        raise ValueError(
            f'{name}: class masks hold at most 254 classes, but an object '
            f'has the class index {labels.max()}'
        )
    seg_map = np.zeros(masks.shape[1:], dtype=np.int64)
    for index in sorted(range(len(masks)), key=lambda i: -masks[i].sum()):
        seg_map[masks[index]] = labels[index] + 1
    return seg_map
