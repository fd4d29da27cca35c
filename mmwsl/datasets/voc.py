"""Image-level labels and counts from data in PASCAL VOC's layout."""

import math
import os
import xml.etree.ElementTree as ElementTree
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from mmwsl.datasets.base import DataInfo, WSLDataset
from mmwsl.datasets.files import FileIndex, image_id, read_lines
from mmwsl.registry import DATASETS
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
_PREFIXES = dict(
    img_path='JPEGImages',
    ann_path='Annotations',
    seg_map_path='SegmentationClass',
    instance_map_path='SegmentationObject',
)
# Of an image in the lists of one class.
_FLAGS = ('-1', '0', '1')
# The size of an image that an annotation does not tell.
_ENDLESS = 2**31
# What annotations call an object that is, or is not, difficult.
_DIFFICULT = {'': False, '0': False, 'false': False, '1': True, 'true': True}


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


class _Line(NamedTuple):
    """A line of the list: its image and the words after its name."""

    number: int
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
    a line that is an image is its name.

    Labels and counts need neither boxes nor the size of an image; boxes are
    compared with it in test mode.

    Args:
        ann_file (str): The list.
        data_prefix (dict): Folders, each of which defaults to the above.
        labels_from (str): 'xml', 'list' or 'auto': 'list' if a line holds a
            word after the path that is not an integer.
        difficult_label (bool): Whether a class that only objects marked
            difficult show is a label, as in the weakly supervised
            segmentation codes. Such classes are in ``gt_label_difficult``
            either way.
        difficult_count (bool): Whether objects marked difficult count.
        unknown_class (str): 'error' or 'ignore', for names not in classes.
        allow_empty (bool): Whether an annotation without any object, or a
            line without any class, is an image of nothing and no error.
        first_pixel (int): What annotations call the first pixel: 1, or 0 for
            files of programs that count from 0. Their boxes may end one pixel
            behind the image, where it is cut.
        **kwargs: Arguments of :class:`WSLDataset`.

    Raises:
        FileNotFoundError: If the list, or a file it names, is missing; names
            list, line and file.
        ValueError: If an annotation is broken, names the file; or if a line
            may mean two images, names list and line.

    Example:
        >>> VOCImageLevelDataset(
        ...     data_root='data/VOCdevkit/VOC2012',
        ...     ann_file='ImageSets/Segmentation/train.txt')
    """

    METAINFO = dict(classes=VOC_CLASSES, palette=VOC_PALETTE)

    def __init__(
        self,
        ann_file: str = 'ImageSets/Main/train.txt',
        data_prefix: Optional[Dict[str, str]] = None,
        labels_from: str = 'auto',
        difficult_label: bool = True,
        difficult_count: bool = False,
        unknown_class: str = 'error',
        allow_empty: bool = False,
        first_pixel: int = 1,
        **kwargs: Any,
    ) -> None:
        _check_choice('labels_from', labels_from, ('auto', 'xml', 'list'))
        _check_choice('unknown_class', unknown_class, ('error', 'ignore'))
        _check_choice('first_pixel', first_pixel, (0, 1))
        self.first_pixel = first_pixel
        self.labels_from = labels_from
        self.difficult_label = difficult_label
        self.difficult_count = difficult_count
        self.unknown_class = unknown_class
        self.allow_empty = allow_empty
        super().__init__(
            ann_file=ann_file,
            data_prefix={**_PREFIXES, **(data_prefix or {})},
            **kwargs,
        )

    def load_data_list(self) -> List[DataInfo]:
        """Read the list and the annotations that it names."""
        files = FileIndex()
        label_of = {name: i for i, name in enumerate(self.classes)}
        lines = self._read_list(files)
        from_list = self.labels_from == 'list' or (
            self.labels_from == 'auto'
            and any(not _is_integer(w) for line in lines for w in line.words)
        )
        entries = []
        for line in lines:
            try:
                entries.append(
                    self._entry_from_list(line, label_of)
                    if from_list
                    else self._entry_from_xml(files, line, label_of)
                )
            except (FileNotFoundError, ValueError) as error:
                self._collect(error)
        return entries

    def _collect(self, error: Exception) -> None:
        """Note an error of a file, or raise it."""
        if not self.collect_problems:
            raise error
        path, _, message = str(error).partition(': ')
        self._problem(path, message)

    def _read_list(self, files: FileIndex) -> List[_Line]:
        """Find the images of the lines."""
        texts = read_lines(self.ann_file, 'list of images')
        texts = [text.strip() for text in texts]
        # Where all lines end in one, it is no part of a name.
        flags = all(text.split()[-1] in _FLAGS for text in texts if text)
        lines = []
        for number, text in enumerate(texts, 1):
            try:
                if text:
                    lines.append(self._read_line(files, number, text, flags))
            except (FileNotFoundError, ValueError) as error:
                self._collect(error)
        return lines

    def _read_line(
        self, files: FileIndex, number: int, text: str, flags: bool
    ) -> _Line:
        """Take the longest part of a line that is an image for its name."""
        place = f'{self.ann_file}: line {number}'
        readings = []
        name, words = text, text.split()
        for length in range(len(words), 0, -1):
            path, rest = self._find_image(files, name), words[length:]
            if path and all(self._may_follow(word, flags) for word in rest):
                readings.append(_Line(number, path, rest))
            name = name[: -len(words[length - 1])].rstrip()
        if not readings:
            path = os.path.join(self.data_prefix['img_path'], text)
            while words[1:] and words[-1] in (*_FLAGS, *self.classes):
                path = path[: -len(words.pop())].rstrip()
            raise FileNotFoundError(f'{place} {files.why_missing(path)}')
        first, other = readings[0], readings[-1]
        known = (*self.classes, *_FLAGS)
        if first != other and all(word in known for word in other.words):
            raise ValueError(
                f'{place} may name {first.path} or {other.path}; rename one '
                'of them'
            )
        return first

    def _may_follow(self, word: str, flags: bool) -> bool:
        """Whether a word can stand after a name: a class or a flag."""
        if word in self.classes or not _is_integer(word):
            return True
        return flags and word in _FLAGS

    def _find_image(self, files: FileIndex, name: str) -> Optional[str]:
        folders = [self.data_prefix['img_path'], self.data_root or '']
        paths = [os.path.join(x, name.lstrip('/')) for x in folders]
        if os.path.isabs(name):
            paths.insert(0, name)
        return next(filter(None, map(files.find_image, paths)), None)

    def _entry_from_list(
        self, line: _Line, label_of: Dict[str, int]
    ) -> DataInfo:
        place = f'{self.ann_file}: line {line.number}'
        labels = self._to_labels(line.words, label_of, place)
        if not line.words and not self.allow_empty:
            raise ValueError(
                f'{place} names no class (allow_empty=True accepts that)'
            )
        img_id = image_id(line.path, self.data_prefix['img_path'])
        return self._entry(
            img_id, line.path, labels, eval_ann=self._eval_paths(img_id)
        )

    def _entry_from_xml(
        self,
        files: FileIndex,
        line: _Line,
        label_of: Dict[str, int],
    ) -> DataInfo:
        img_id = image_id(line.path, self.data_prefix['img_path'])
        path = os.path.join(self.data_prefix['ann_path'], f'{img_id}.xml')
        if not files.exists(path):
            raise FileNotFoundError(
                f'{self.ann_file}: line {line.number} needs the annotation '
                f'{path}, which does not exist'
            )
        annotation = read_voc_xml(path, self.first_pixel)
        objects = annotation.objects
        if not objects and not self.allow_empty:
            raise ValueError(
                f'{path}: XML without objects (allow_empty=True accepts that)'
            )
        self._to_labels([o.name for o in objects], label_of, path)
        known = [o for o in objects if o.name in label_of]
        easy = {label_of[o.name] for o in known if not o.difficult}
        hard = {label_of[o.name] for o in known} - easy
        counts = dict.fromkeys(easy | hard, 0)
        for item in known:
            if self.difficult_count or not item.difficult:
                counts[label_of[item.name]] += 1
        return self._entry(
            img_id,
            line.path,
            labels=sorted(easy | hard if self.difficult_label else easy),
            difficult_only=sorted(hard),
            counts=counts,
            eval_ann=self._eval_ann(
                img_id, path, annotation._replace(objects=known), label_of
            ),
        )

    def _to_labels(
        self, names: Sequence[str], label_of: Dict[str, int], place: str
    ) -> List[int]:
        for name in names:
            if name not in label_of and self.unknown_class == 'error':
                raise ValueError(
                    f'{place}: class {name!r} is not in the list of classes '
                    f"(unknown_class='ignore' passes over it)"
                )
        return [label_of[name] for name in names if name in label_of]

    def _eval_ann(
        self,
        img_id: str,
        path: str,
        annotation: VOCAnnotation,
        label_of: Dict[str, int],
    ) -> Dict[str, Any]:
        """Return what evaluation needs, boxes only if all objects have one."""
        size, objects = annotation
        truth = dict(
            self._eval_paths(img_id),
            labels=np.array([label_of[o.name] for o in objects], np.int64),
            difficult=np.array([o.difficult for o in objects], dtype=bool),
        )
        boxes = [o.box for o in objects if o.box is not None]
        # Training does without, and only a check of the files looks at them.
        if self.test_mode or self.collect_problems:
            self._check_boxes(path, boxes, size)
        if len(boxes) == len(objects):
            array = np.array(boxes, dtype=np.float32).reshape(-1, 4)
            truth.update(
                boxes=array, box_margin=1.5 - self.first_pixel, place=path
            )
        if size is not None:
            truth['size'] = size
        return truth

    def _check_boxes(
        self, path: str, boxes: List[Box], size: Optional[Tuple[int, int]]
    ) -> None:
        hint = ''
        if self.first_pixel == 1 and any(min(box[:2]) == -1 for box in boxes):
            hint = '; first_pixel=0 reads files that count pixels from 0'
        try:
            check_boxes(
                np.array(boxes),
                size or (_ENDLESS, _ENDLESS),
                margin=1.5 - self.first_pixel,
            )
        except ValueError as error:
            self._problem(path, f'{error}{hint}')

    def _eval_paths(self, img_id: str) -> Dict[str, Any]:
        return {
            key: os.path.join(self.data_prefix[key], f'{img_id}.png')
            for key in ('seg_map_path', 'instance_map_path')
        }


def _check_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    if value not in choices:
        raise ValueError(f'{name} must be one of {choices}, got {value!r}')


def _is_integer(word: str) -> bool:
    return word.lstrip('+-').isdigit()


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
