"""Class names and colours of public data sets."""

from typing import List, Tuple

VOC_CLASSES = (
    'aeroplane',
    'bicycle',
    'bird',
    'boat',
    'bottle',
    'bus',
    'car',
    'cat',
    'chair',
    'cow',
    'diningtable',
    'dog',
    'horse',
    'motorbike',
    'person',
    'pottedplant',
    'sheep',
    'sofa',
    'train',
    'tvmonitor',
)


def voc_color_map(size: int = 256) -> List[Tuple[int, int, int]]:
    """The RGB colours of indexed masks, as the VOC development kit has them.

    Three bits of the index at a time go to the highest free bits of red,
    green and blue, so that neighbouring indices look different.

    Args:
        size (int): Number of colours, at most 256.
    """
    colors = []
    for index in range(size):
        rgb = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                value = index >> (3 * bit + channel) & 1
                rgb[channel] |= value << (7 - bit)
        colors.append((rgb[0], rgb[1], rgb[2]))
    return colors


VOC_PALETTE = voc_color_map(len(VOC_CLASSES) + 1)[1:]
