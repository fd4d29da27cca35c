"""Reading PASCAL VOC annotation files."""

import os
import xml.etree.ElementTree as ElementTree
from typing import List, NamedTuple, Optional, Tuple


class VOCObject(NamedTuple):
    """One object of an image.

    Attributes:
        name (str): Its class.
        difficult (bool): Whether it is marked difficult.
        box (tuple[float]): Left, top, right and bottom edge in pixels; the
            first pixel spans 0 to 1. The file counts pixels from 1 and names
            the first and last one inside, so 1 goes from the first two.
    """

    name: str
    difficult: bool
    box: Tuple[float, float, float, float]


class VOCAnnotation(NamedTuple):
    """What a file says of an image; ``size`` is (H, W) or None."""

    size: Optional[Tuple[int, int]]
    objects: List[VOCObject]


def read_voc_xml(path: str) -> VOCAnnotation:
    """Read an annotation file.

    Args:
        path (str): The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it does not parse, or if an object has no name or no
            box; names the file in one line.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{path}: annotation file does not exist')
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueError(f'{path}: XML does not parse ({error})') from error
    objects = [
        _read_object(path, number, node)
        for number, node in enumerate(root.findall('object'), 1)
    ]
    return VOCAnnotation(_read_size(path, root), objects)


def _read_size(
    path: str, root: ElementTree.Element
) -> Optional[Tuple[int, int]]:
    if root.find('size') is None:
        return None
    height = _number(path, root, 'size/height')
    width = _number(path, root, 'size/width')
    if height < 1 or width < 1:
        raise ValueError(f'{path}: image size is {width:g} x {height:g}')
    return int(height), int(width)


def _read_object(
    path: str, number: int, node: ElementTree.Element
) -> VOCObject:
    name = (node.findtext('name') or '').strip()
    if not name:
        raise ValueError(f'{path}: object {number} has no name')
    left, top, right, bottom = (
        _number(path, node, f'bndbox/{key}', f'object {number} ')
        for key in ('xmin', 'ymin', 'xmax', 'ymax')
    )
    if right < left or bottom < top:
        raise ValueError(f'{path}: object {number} has an inverted box')
    difficult = (node.findtext('difficult') or '0').strip() == '1'
    return VOCObject(name, difficult, (left - 1, top - 1, right, bottom))


def _number(
    path: str, node: ElementTree.Element, key: str, prefix: str = ''
) -> float:
    text = node.findtext(key)
    try:
        return float(text or '')
    except ValueError as error:
        raise ValueError(
            f'{path}: {prefix}{key} is {text!r}, not a number'
        ) from error
