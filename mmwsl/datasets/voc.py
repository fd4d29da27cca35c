"""Image-level labels and counts from data in PASCAL VOC's layout."""

import os
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from mmwsl.datasets.base import DataInfo, WSLDataset
from mmwsl.datasets.files import FileIndex, image_id, read_lines
from mmwsl.datasets.palettes import VOC_CLASSES, VOC_PALETTE
from mmwsl.datasets.voc_xml import VOCObject, read_voc_xml
from mmwsl.registry import DATASETS

_PREFIXES = dict(
    img_path='JPEGImages',
    ann_path='Annotations',
    seg_map_path='SegmentationClass',
    instance_map_path='SegmentationObject',
)


class _Line(NamedTuple):
    number: int
    name: str
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

    The list is any of ``ImageSets`` (integers after a name, as in
    ``cat_train.txt``, are flags that are passed over) or a plain file with
    lines ``relative/path class class ...``, whose labels then come from the
    list and whose counts are unknown. Paths are relative to the image folder
    or to ``data_root``.

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
        **kwargs: Arguments of :class:`WSLDataset`.

    Raises:
        FileNotFoundError: If the list, or a file it names, is missing; names
            list, line and file.
        ValueError: If an annotation is broken; names the file.

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
        **kwargs: Any,
    ) -> None:
        _check_choice('labels_from', labels_from, ('auto', 'xml', 'list'))
        _check_choice('unknown_class', unknown_class, ('error', 'ignore'))
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
        lines = self._read_list()
        from_list = self.labels_from == 'list' or (
            self.labels_from == 'auto'
            and any(not _is_integer(w) for line in lines for w in line.words)
        )
        files = FileIndex()
        label_of = {name: i for i, name in enumerate(self.classes)}
        entries = []
        for line in lines:
            try:
                img_path = self._find_image(files, line)
                entries.append(
                    self._entry_from_list(line, img_path, label_of)
                    if from_list
                    else self._entry_from_xml(files, line, img_path, label_of)
                )
            except (FileNotFoundError, ValueError) as error:
                if not self.collect_problems:
                    raise
                path, _, message = str(error).partition(': ')
                self._problem(path, message)
        return entries

    def _read_list(self) -> List[_Line]:
        lines = read_lines(self.ann_file, 'list of images')
        words = ((i, line.split()) for i, line in enumerate(lines, 1))
        return [_Line(i, w[0], w[1:]) for i, w in words if w]

    def _find_image(self, files: FileIndex, line: _Line) -> str:
        folder = self.data_prefix['img_path']
        for root in (folder, self.data_root or ''):
            path = files.find_image(os.path.join(root, line.name.lstrip('/')))
            if path:
                return path
        raise FileNotFoundError(
            f'{self.ann_file}: line {line.number} names the image '
            f'{os.path.join(folder, line.name)}, which does not exist'
        )

    def _entry_from_list(
        self, line: _Line, img_path: str, label_of: Dict[str, int]
    ) -> DataInfo:
        place = f'{self.ann_file}: line {line.number}'
        labels = self._to_labels(line.words, label_of, place)
        if not line.words and not self.allow_empty:
            raise ValueError(
                f'{place} names no class (allow_empty=True accepts that)'
            )
        img_id = image_id(img_path, self.data_prefix['img_path'])
        return self._entry(
            img_id, img_path, labels, eval_ann=self._eval_paths(img_id)
        )

    def _entry_from_xml(
        self,
        files: FileIndex,
        line: _Line,
        img_path: str,
        label_of: Dict[str, int],
    ) -> DataInfo:
        img_id = image_id(img_path, self.data_prefix['img_path'])
        path = os.path.join(self.data_prefix['ann_path'], f'{img_id}.xml')
        if not files.exists(path):
            raise FileNotFoundError(
                f'{self.ann_file}: line {line.number} needs the annotation '
                f'{path}, which does not exist'
            )
        objects = read_voc_xml(path).objects
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
            img_path,
            labels=sorted(easy | hard if self.difficult_label else easy),
            difficult_only=sorted(hard),
            counts=counts,
            eval_ann=self._eval_ann(img_id, known, label_of),
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
        self, img_id: str, known: List[VOCObject], label_of: Dict[str, int]
    ) -> Dict[str, Any]:
        boxes = np.array([o.box for o in known], dtype=np.float32)
        return dict(
            self._eval_paths(img_id),
            boxes=boxes.reshape(-1, 4),
            labels=np.array([label_of[o.name] for o in known], np.int64),
            difficult=np.array([o.difficult for o in known], dtype=bool),
        )

    def _eval_paths(self, img_id: str) -> Dict[str, Any]:
        return {
            key: os.path.join(self.data_prefix[key], f'{img_id}.png')
            for key in ('seg_map_path', 'instance_map_path')
        }


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f'{name} must be one of {choices}, got {value!r}')


def _is_integer(word: str) -> bool:
    return word.lstrip('+-').isdigit()
