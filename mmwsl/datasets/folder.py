"""Image-level labels of own data: one folder per class, or a CSV file."""

import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from mmwsl.datasets.base import DataInfo, WSLDataset, check_choice
from mmwsl.datasets.files import FileIndex, find_files, image_id, is_hidden
from mmwsl.datasets.label_lists import parse_labels, read_label_file
from mmwsl.registry import DATASETS
from mmwsl.utils.files import say_once

_HEADER = (
    "; if the line is a header, columns=dict(path='NAME', label='NAME'), or "
    'columns=NAME,NAME of own data, names its columns'
)


class _Row(NamedTuple):
    """One label of an image; '' is no label, None an unknown number."""

    place: str
    path: str
    label: str
    number: Optional[int]


@DATASETS.register_module()
class FolderDataset(WSLDataset):
    """Image-level labels of own data.

    Without ``ann_file`` the name of an image's folder is its class:

    .. code-block:: text

        data_root/cat/1.jpg    data_root/cat/more/2.png    data_root/dog/1.jpg

    Hidden files and folders are passed over, and a folder is read once,
    however many links lead to it.

    With ``ann_file`` it is a CSV file with one of two kinds of lines; an
    image may have several lines, and a header ``path,...`` is passed over:

    .. code-block:: text

        a/1.jpg,cat|dog        labels; a/1.jpg, is an image of nothing
        a/1.jpg,cat,3          a label and its number of objects

    Labels may also stand in several columns, but then none may be a number:
    ``a/1.jpg,7|9`` has the labels 7 and 9, ``a/1.jpg,7,9`` nine objects of
    class 7. A line with a number in several columns that is not
    ``path,class,count`` with one class is broken; commas at its end are
    passed over.

    Under a header of class names the lines hold one number a class:

    .. code-block:: text

        path,cat,dog           all numbers 0 or 1: labels; otherwise counts
        a/1.jpg,0,3

    Programs also write them as 0.0 and 1.0 or false and true, and files with
    semicolons or tabs instead of commas are read as well.

    Counts are known if the lines have them; a class without line then has 0,
    and a line with count 0 gives no label. A line with a label but without a
    count is broken where others have one. Names with a comma are quoted.

    Args:
        ann_file: The CSV file, '' for folders.
        data_prefix: ``img_path`` is the folder of the images; for evaluation
            ``seg_map_path`` may hold ``<image id>.png``: 0 for background, c +
            1 for class c, 255 for ignored pixels.
        metainfo: ``classes``; by default the names that occur, in alphabetical
            order. Give them to keep the order when a validation set lacks a
            class.
        unknown_class: 'error' or 'ignore', for names not in classes.
        columns: Which columns to read, where the header of the file is no
            ``path,...``: what it calls ``path``, ``label`` and ``count``, such
            as ``dict(path='file', label='tag', count='n')``. A list as
            ``label`` names the classes of a table; with ``path`` alone all
            other columns are read.
        delimiter: What separates columns; by default the first of comma,
            semicolon and tab that stands in every line.
        left_out: Folders, in lower case, that are no class; their images are
            left out.
        **kwargs: Arguments of :class:`WSLDataset`.

    Example:
        >>> FolderDataset(
        ...     data_root='data/fruit', ann_file='train.csv',
        ...     metainfo=dict(classes=['apple', 'pear']))
    """

    def __init__(
        self,
        ann_file: str = '',
        unknown_class: str = 'error',
        columns: Optional[Mapping[str, Any]] = None,
        delimiter: str = '',
        left_out: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        check_choice('unknown_class', unknown_class, ('error', 'ignore'))
        self.columns = columns
        self.delimiter = delimiter
        self.left_out = left_out
        self.unknown_class = unknown_class
        super().__init__(ann_file=ann_file, **kwargs)

    def load_data_list(self) -> List[DataInfo]:
        """Read the folders or the CSV file."""
        folder = self.data_prefix['img_path']
        rows = self._csv_rows() if self.ann_file else self._folder_rows()
        if not self.classes:
            names = sorted({row.label for row in rows if row.label})
            if not names:
                raise ValueError(
                    f'{self.ann_file or folder}: names no class, and '
                    f'{type(self).__name__} was given none'
                )
            self._metainfo['classes'] = names
        counted = any(row.number is not None for row in rows)
        masks = self.data_prefix.get('seg_map_path')
        entries = []
        for path, counts in self._read_rows(rows, counted).items():
            img_id = image_id(path, folder)
            truth = {}
            if masks:
                truth['seg_map_path'] = os.path.join(masks, f'{img_id}.png')
            numbers = counts if counted else None
            entries.append(
                self._entry(img_id, path, [*counts], (), numbers, truth)
            )
        return entries

    def _read_rows(
        self, rows: List[_Row], counted: bool
    ) -> Dict[str, Dict[int, int]]:
        """Return the classes of each image and their counts, 1 if unknown."""
        label_of = self._label_of()
        images: Dict[str, Dict[int, int]] = {}
        for place, path, name, number in rows:
            with self._noting(place):
                label = self._label(name, label_of, place) if name else None
                if counted and label is not None and number is None:
                    raise ValueError(
                        f'{name!r} has no count, as it has in other lines'
                    )
                counts = images.setdefault(path, {})
                if counted and label in counts:
                    raise ValueError(f'a second count of {name!r} in {path}')
                if label is not None and number != 0:
                    counts[label] = number or 1
        return images

    def _folder_rows(self) -> List[_Row]:
        root = os.path.normpath(self.data_prefix['img_path'])
        rows = []
        beside: List[str] = []
        for path in find_files(root):
            name, *inside = os.path.relpath(path, root).split(os.sep)
            if inside and name.lower() in self.left_out:
                continue
            if inside:
                place = os.path.join(root, name)
                rows.append(_Row(place, path, name.strip(), None))
            else:
                beside.append(path)
        # What becomes no class is said.
        used = {row.place for row in rows}
        empty = sorted(
            item.name
            for item in os.scandir(root)
            if item.is_dir()
            and item.path not in used
            and item.name.lower() not in self.left_out
            and not is_hidden(item.name)
        )
        if empty:
            say_once(f'{root}: no image is in the folder {", ".join(empty)}')
        if beside:
            say_once(
                f'{beside[0]}: lies in no folder of a class, as {len(beside)} '
                'images do, and is passed over'
            )
        return rows

    def _csv_rows(self) -> List[_Row]:
        files = FileIndex()
        rows: List[_Row] = []
        content = read_label_file(
            self.ann_file, 'list of images', self.columns, self.delimiter
        )
        if content.classes and not self.classes:
            self._metainfo['classes'] = sorted(content.classes)
        for number, cells in content.lines:
            place = f'{self.ann_file}: line {number}'
            with self._noting(place):
                if not cells[0]:
                    why = 'no path in the first column'
                    raise ValueError(why + _HEADER * (number == 1))
                name = os.path.join(self.data_prefix['img_path'], cells[0])
                path = files.find_image(name)
                if path is None:
                    header = number == 1 and not os.path.splitext(name)[1]
                    why = files.why_missing(name)
                    raise FileNotFoundError(why + _HEADER * header)
                rows.extend(
                    _Row(place, path, label, count)
                    for label, count in parse_labels(place, cells, content)
                )
        return rows
