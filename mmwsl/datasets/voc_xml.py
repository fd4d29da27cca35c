"""Reading PASCAL VOC annotation files."""

import math
import os
import xml.etree.ElementTree as ElementTree
from typing import List, NamedTuple, Optional, Tuple

Box = Tuple[float, float, float, float]
_FLAGS = {'': False, '0': False, 'false': False, '1': True, 'true': True}


class VOCObject(NamedTuple):
    """One object of an image.

    Attributes:
        name (str): Its class.
        difficult (bool): Whether it is marked difficult.
        box (tuple[float] | None): Left, top, right and bottom edge in
            pixels; the first pixel spans 0 to 1. The file names the first
            and the last pixel inside.
    """

    name: str
    difficult: bool
    box: Optional[Box]


class VOCAnnotation(NamedTuple):
    """What a file says of an image; ``size`` is (H, W) or None."""

    size: Optional[Tuple[int, int]]
    objects: List[VOCObject]


def read_voc_xml(path: str, first_pixel: int = 1) -> VOCAnnotation:
    """Read an annotation file.

    Args:
        path (str): The file.
        first_pixel (int): What it calls the first pixel, 1 or 0.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it does not parse, or if an object has no name or a
            box that is broken or inverted; names the file in one line.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{path}: annotation file does not exist')
    try:
        root = ElementTree.parse(path).getroot()
    # Encodings that Python does not know are no errors of parsing.
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ValueError(f'{path}: XML does not parse ({error})') from error
    for node in root.iter():
        # Without the namespace.
        node.tag = str(node.tag).rpartition('}')[2]
    objects = [
        _read_object(f'{path}: object {number}', node, first_pixel)
        for number, node in enumerate(root.findall('object'), 1)
    ]
    return VOCAnnotation(_read_size(root), objects)


def _read_size(root: ElementTree.Element) -> Optional[Tuple[int, int]]:
    """Return the image's size; programs that do not know it write 0."""
    texts = [root.findtext(f'size/{key}') for key in ('height', 'width')]
    try:
        height, width = (int(text or 0) for text in texts)
    except ValueError:
        return None
    return (height, width) if height > 0 and width > 0 else None


def _read_object(
    place: str, node: ElementTree.Element, first_pixel: int
) -> VOCObject:
    name = (node.findtext('name') or '').strip()
    if not name:
        raise ValueError(f'{place} has no name')
    text = (node.findtext('difficult') or '').strip()
    if text.lower() not in _FLAGS:
        raise ValueError(f'{place} difficult is {text!r}, expected 0 or 1')
    box = None
    if node.find('bndbox') is not None:
        left, top, right, bottom = (
            _number(place, node, f'bndbox/{key}')
            for key in ('xmin', 'ymin', 'xmax', 'ymax')
        )
        if right < left or bottom < top:
            raise ValueError(f'{place} has an inverted box')
        left, top = left - first_pixel, top - first_pixel
        last = 1 - first_pixel
        box = (left, top, right + last, bottom + last)
    return VOCObject(name, _FLAGS[text.lower()], box)


def _number(place: str, node: ElementTree.Element, key: str) -> float:
    text = node.findtext(key)
    try:
        number = float(text or '')
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f'{place} {key} is {text!r}, not a number')
    return number
