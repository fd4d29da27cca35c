"""Image-level labels and counts from data in PASCAL VOC's layout."""

import math
import os
import re
import xml.etree.ElementTree as ElementTree
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from mmwsl.datasets.base import DataInfo, Size, WSLDataset, check_choice
from mmwsl.datasets.files import FileIndex, image_id, read_rows
from mmwsl.registry import DATASETS
from mmwsl.utils.files import need_file
from mmwsl.utils.images import voc_color_map
from mmwsl.utils.masks import check_boxes

Box = Tuple[float, float, float, float]
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
VOC_PALETTE = voc_color_map(len(VOC_CLASSES) + 1)[1:]
# Of an image in the lists of one class.
_FLAGS = ('-1', '0', '1')
# The size of an image that an annotation does not tell.
_ENDLESS = (2**31, 2**31)
# In lists: a name in quotes, which may hold spaces, or a word.
_WORD = re.compile(r'"[^"]*"(?!\S)|\S+')
# What annotations call an object that is, or is not, difficult.
_DIFFICULT = {'': False, '0': False, 'false': False, '1': True, 'true': True}


class VOCObject(NamedTuple):
    """One object of an image: its class, and whether it is difficult.

    ``box`` is x0, y0, x1, y1 in pixels, of which the first spans 0 to 1; the
    file names the first and the last pixel inside.
    """

    name: str
    difficult: bool
    box: Optional[Box]


class VOCAnnotation(NamedTuple):
    """What a file says of an image; ``size`` is (H, W) or None."""

    size: Optional[Size]
    objects: List[VOCObject]


class _Line(NamedTuple):
    """A line of the list: its image and the words after its name."""

    place: str
    path: str
    words: List[str]


@DATASETS.register_module()
class VOCImageLevelDataset(WSLDataset):
    """Image-level labels of data in PASCAL VOC's layout.

    The layout is that of the `development kit
    <http://host.robots.ox.ac.uk/pascal/VOC/>`_:

    .. code-block:: text

        data_root
        |-- ImageSets/Main/train.txt        one image name a line
        |-- JPEGImages/2007_000032.jpg      any image suffix will do
        |-- Annotations/2007_000032.xml     labels, counts (boxes: test mode)
        |-- SegmentationClass/...png        class masks, test mode only
        `-- SegmentationObject/...png       instance masks, test mode only

    The list is any of ``ImageSets`` (-1, 0 or 1 after all names, as
    in ``cat_train.txt``, are flags that are passed over) or a plain file with
    lines ``relative/path class class ...``, whose labels then come from the
    list and whose counts are unknown. Paths are relative to the image folder
    or to ``data_root``, or absolute, and may hold spaces: the longest part of
    a line that is an image is its name. Classes may hold spaces as well, of
    which the longest that fits is taken; quotes around names, or a
    ``separator``, leave nothing to guess.

    Labels and counts need neither boxes nor the size of an image; boxes are
    compared with it in test mode.

    Args:
        ann_file: The list.
        labels_from: 'xml', 'list' or 'auto': 'list' if a line holds a word
            after the path that is not an integer.
        difficult_label: Whether a class that only objects marked difficult
            show is a label, as in the weakly supervised segmentation codes.
            Such classes are in ``gt_label_difficult`` either way.
        difficult_count: Whether objects marked difficult count.
        unknown_class: 'error' or 'ignore', for names not in classes.
        allow_empty: Whether an annotation without any object, or a line
            without any class, is an image of nothing and no error.
        first_pixel: What annotations call the first pixel: 1, or 0 for files
            of programs that count from 0. Their boxes may end one pixel behind
            the image, where it is cut.
        separator: What stands between the names of a list, such as a tab or a
            comma; None for white space.
        **kwargs: Arguments of :class:`WSLDataset`.

    Example:
        >>> VOCImageLevelDataset(
        ...     data_root='data/VOCdevkit/VOC2012',
        ...     ann_file='ImageSets/Segmentation/train.txt')
    """

    METAINFO = dict(classes=VOC_CLASSES, palette=VOC_PALETTE)
    PREFIXES = dict(
        img_path='JPEGImages',
        ann_path='Annotations',
        seg_map_path='SegmentationClass',
        instance_map_path='SegmentationObject',
    )

    def __init__(
        self,
        ann_file: str = 'ImageSets/Main/train.txt',
        labels_from: str = 'auto',
        difficult_label: bool = True,
        difficult_count: bool = False,
        unknown_class: str = 'error',
        allow_empty: bool = False,
        first_pixel: int = 1,
        separator: Optional[str] = None,
        **kwargs: Any,
    ) -> None:
        check_choice('labels_from', labels_from, ('auto', 'xml', 'list'))
        check_choice('unknown_class', unknown_class, ('error', 'ignore'))
        check_choice('first_pixel', first_pixel, (0, 1))
        self.labels_from = labels_from
        self.difficult_label = difficult_label
        self.difficult_count = difficult_count
        self.unknown_class = unknown_class
        self.allow_empty = allow_empty
        self.first_pixel = first_pixel
        self.separator = separator
        super().__init__(ann_file=ann_file, **kwargs)

    def load_data_list(self) -> List[DataInfo]:
        """Read the list and the annotations that it names."""
        files, label_of = FileIndex(), self._label_of()
        rows = read_rows(self.ann_file, 'list of images')
        # Where all lines end in one, it is no part of a name.
        flags = all(text.split()[-1] in _FLAGS for _, text in rows)
        lines: List[_Line] = []
        for place, text in rows:
            with self._noting():
                lines.append(self._read_line(files, place, text, flags))
        from_list = self.labels_from == 'list' or (
            self.labels_from == 'auto'
            and any(not _is_integer(w) for line in lines for w in line.words)
        )
        entries = []
        for line in lines:
            with self._noting():
                entries.append(
                    self._entry_from_list(line, label_of)
                    if from_list
                    else self._entry_from_xml(files, line, label_of)
                )
        return entries

    def _read_line(
        self, files: FileIndex, place: str, text: str, flags: bool
    ) -> _Line:
        """Take the longest part of a line that is an image for its name."""
        known = (*self.classes, *_FLAGS)
        folders = [self.data_prefix['img_path'], self.data_root or '']
        readings = []
        # The shortest name behind which nothing unknown stands, if any.
        missing = ''
        for name, words in self._splits(text):
            paths = [os.path.join(x, name.lstrip('/')) for x in folders]
            paths[:0] = [name] * os.path.isabs(name)
            path = next(filter(None, map(files.find_image, paths)), None)
            rest = self._joined(words)
            # Behind a name stand classes, also unknown ones, or a flag.
            if path and all(
                word in self.classes
                or not _is_integer(word)
                or (flags and word in _FLAGS)
                for word in rest
            ):
                readings.append(_Line(place, path, rest))
            if not missing or all(word in known for word in rest):
                missing = name
        if not readings:
            path = os.path.join(folders[0], missing)
            raise FileNotFoundError(f'{place} {files.why_missing(path)}')
        first, other = readings[0], readings[-1]
        if first != other and all(word in known for word in other.words):
            raise ValueError(
                f'{place} may name {first.path} or {other.path}; rename one '
                'of them'
            )
        return first

    def _splits(self, text: str) -> Iterator[Tuple[str, List[str]]]:
        """Yield what may be the name in a line, and the words behind it."""
        if self.separator is not None:
            name, *words = map(str.strip, text.split(self.separator))
            yield _unquoted(name), [f'"{_unquoted(x)}"' for x in words if x]
            return
        words = _WORD.findall(text)
        name = text
        for length in range(len(words), 0, -1):
            yield _unquoted(name), words[length:]
            name = name[: -len(words[length - 1])].rstrip()

    def _joined(self, words: List[str]) -> List[str]:
        """Join words to the longest classes, and take quotes away."""
        joined = []
        while words:
            number = next(
                n
                for n in range(len(words), 0, -1)
                if n == 1 or ' '.join(words[:n]) in self.classes
            )
            joined.append(_unquoted(' '.join(words[:number])))
            words = words[number:]
        return joined

    def _entry_from_list(
        self, line: _Line, label_of: Dict[str, int]
    ) -> DataInfo:
        labels = [self._label(x, label_of, line.place) for x in line.words]
        if not line.words and not self.allow_empty:
            raise ValueError(
                f'{line.place} names no class (allow_empty=True accepts that)'
            )
        img_id = image_id(line.path, self.data_prefix['img_path'])
        return self._entry(
            img_id,
            line.path,
            [label for label in labels if label is not None],
            eval_ann=self._mask_paths(img_id),
        )

    def _entry_from_xml(
        self, files: FileIndex, line: _Line, label_of: Dict[str, int]
    ) -> DataInfo:
        img_id = image_id(line.path, self.data_prefix['img_path'])
        path = os.path.join(self.data_prefix['ann_path'], f'{img_id}.xml')
        if not files.exists(path):
            raise FileNotFoundError(
                f'{line.place} needs the annotation {path}, which does not '
                'exist'
            )
        return self._xml_entry(line.path, path, label_of)

    def _xml_entry(
        self, image: str, path: str, label_of: Dict[str, int]
    ) -> DataInfo:
        """Read the annotation of an image."""
        img_id = image_id(image, self.data_prefix['img_path'])
        size, objects = read_voc_xml(path, self.first_pixel)
        if not objects and not self.allow_empty:
            raise ValueError(
                f'{path}: XML without objects (allow_empty=True accepts that)'
            )
        found = [(self._label(x.name, label_of, path), x) for x in objects]
        known = [(label, x) for label, x in found if label is not None]
        boxes = [x.box for _, x in known if x.box is not None]
        # Training does without, and only a check of the files looks at them.
        if self.test_mode or self.collect_problems:
            self._check_boxes(path, boxes, size)
        return self._entry_of_objects(
            img_id,
            image,
            [label for label, _ in known],
            [x.difficult for _, x in known],
            (self.difficult_label, self.difficult_count),
            boxes=boxes if len(boxes) == len(known) else None,
            size=size,
            box_margin=1.5 - self.first_pixel,
            place=path,
            **self._mask_paths(img_id),
        )

    def _check_boxes(
        self, path: str, boxes: List[Box], size: Optional[Size]
    ) -> None:
        margin, hint = 1.5 - self.first_pixel, ''
        if self.first_pixel == 1 and any(min(box[:2]) == -1 for box in boxes):
            hint = '; first_pixel=0 reads files that count pixels from 0'
        with self._noting(path):
            try:
                check_boxes(np.array(boxes), size or _ENDLESS, True, margin)
            except ValueError as error:
                raise ValueError(f'{error}{hint}') from error

    def _mask_paths(self, img_id: str) -> Dict[str, str]:
        return {
            key: os.path.join(self.data_prefix[key], f'{img_id}.png')
            for key in ('seg_map_path', 'instance_map_path')
        }


def _unquoted(text: str) -> str:
    """Take the quotes away from a text that is one in quotes."""
    quoted = text[:1] == text[-1:] == '"' and text.count('"') == 2
    return text[1:-1] if quoted else text


def _is_integer(word: str) -> bool:
    return word.lstrip('+-').isdigit()


def read_voc_xml(path: str, first_pixel: int = 1) -> VOCAnnotation:
    """Read an annotation file, which calls the first pixel 1 or 0.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it does not parse, or if an object has no name or a
            box that is broken or inverted; names the file in one line.
    """
    need_file(path, 'annotation file')
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
    texts = [root.findtext(f'size/{key}') for key in ('height', 'width')]
    try:
        height, width = (int(text or 0) for text in texts)
    except ValueError:
        height = width = 0
    # Programs that do not know the size write 0.
    known = height > 0 and width > 0
    return VOCAnnotation((height, width) if known else None, objects)


def _read_object(
    place: str, node: ElementTree.Element, first_pixel: int
) -> VOCObject:
    name = (node.findtext('name') or '').strip()
    if not name:
        raise ValueError(f'{place} has no name')
    text = (node.findtext('difficult') or '').strip()
    if text.lower() not in _DIFFICULT:
        raise ValueError(f'{place} difficult is {text!r}, expected 0 or 1')
    box = None
    if node.find('bndbox') is not None:
        left, top, right, bottom = (
            _xml_number(place, node, f'bndbox/{key}')
            for key in ('xmin', 'ymin', 'xmax', 'ymax')
        )
        if right < left or bottom < top:
            raise ValueError(f'{place} has an inverted box')
        left, top = left - first_pixel, top - first_pixel
        last = 1 - first_pixel
        box = (left, top, right + last, bottom + last)
    return VOCObject(name, _DIFFICULT[text.lower()], box)


def _xml_number(place: str, node: ElementTree.Element, key: str) -> float:
    text = node.findtext(key)
    try:
        number = float(text or '')
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f'{place} {key} is {text!r}, not a number')
    return number
