"""CSV files of labels: ``path,label[|label...]`` or ``path,class,count``.

:class:`mmwsl.datasets.FolderDataset` says what lines and tables mean. Labels
that are numbers stand in one column, as in ``path,3|5``: a number in a line
of more than two columns is a count. Columns are separated by the first of
comma, semicolon and tab that stands in every line, outside of quotes.
"""

import csv
import re
from typing import Any, List, Mapping, NamedTuple, Optional, Tuple

from mmwsl.datasets.files import read_lines
from mmwsl.utils.images import IMG_SUFFIXES

# Longer counts might not fit the 64 bits of gt_count.
_MAX_DIGITS = 18
# What headers of lists, which are no tables, call their columns.
_LABEL_COLUMNS = ('label', 'labels', 'class', 'classes', 'category')
_COUNT_COLUMNS = ('count', 'counts', 'number')
_CELLS = {'true': '1', 'false': '0', 'yes': '1', 'no': '0'}
_DELIMITERS = (',', ';', '\t')
_QUOTED = re.compile('"[^"]*"')


class LabelFile(NamedTuple):
    """What is in a file: number and cells of each line.

    ``classes`` are the names of a table's columns; its numbers are counts, or
    else labels, as ``counted`` says.
    """

    lines: List[Tuple[int, List[str]]]
    classes: Optional[List[str]] = None
    counted: bool = False


def read_csv(
    path: str, what: str, delimiter: str = ''
) -> List[Tuple[int, List[str]]]:
    """Read the lines of a CSV file that are not empty.

    Returns:
        Number of each line, from 1, and its cells without white space around
        them. Without ``delimiter`` it is found out what separates them.

    Raises:
        FileNotFoundError: If there is no such file; says ``what`` it is.
        ValueError: If it is no text, or if a line has an open quote; names
            file and line.
    """
    found = []
    lines = read_lines(path, what)
    if not delimiter:
        bare = [_QUOTED.sub('', line) for line in lines if line.strip()]
        known = (x for x in _DELIMITERS if all(x in line for line in bare))
        delimiter = next(known, ',')
    for number, line in enumerate(lines, 1):
        # Each line alone: an open quote must not swallow the next ones.
        reader = csv.reader(
            [line], delimiter=delimiter, skipinitialspace=True, strict=True
        )
        try:
            cells = [cell.strip() for row in reader for cell in row]
        except csv.Error as error:
            raise ValueError(f'{path}: line {number}: {error}') from error
        if any(cells):
            found.append((number, cells))
    return found


def read_label_file(
    path: str,
    what: str,
    columns: Optional[Mapping[str, Any]] = None,
    delimiter: str = '',
) -> LabelFile:
    """Read a CSV file of labels; its header ``path,...`` is passed over.

    ``columns`` say what a header calls ``path``, ``label`` (one name, or a
    list of the classes of a table) and ``count``.

    Raises:
        FileNotFoundError: See :func:`read_csv`.
        ValueError: If that refuses it, it lacks one of the ``columns``, a
            table names a class twice, or nothing says whether two numbers
            are a class and its count.
    """
    lines = read_csv(path, what, delimiter)
    if columns and lines:
        lines = _picked(path, lines, columns)
    if not lines or lines[0][0] != 1:
        return LabelFile(lines)
    header, rows = lines[0][1], lines[1:]
    if _is_table(header, [cells for _, cells in rows]):
        while not header[-1]:
            header = header[:-1]
        for name in header[1:]:
            if not name or header[1:].count(name) > 1:
                raise ValueError(
                    f'{path}: line 1: the name {name!r} of a column must '
                    'stand there once'
                )
        numbers = [_plain(cell) for _, cells in rows for cell in cells[1:]]
        counted = any(is_number(x) and float(x) > 1 for x in numbers)
        return LabelFile(rows, header[1:], counted)
    if header[0] == 'path':
        return LabelFile(rows)
    pairs = [[cell for cell in cells[1:] if cell] for _, cells in lines]
    if all(len(p) == 2 and all(map(_looks_like_number, p)) for p in pairs):
        raise ValueError(
            f'{path}: lines of two numbers need a header: path,class,count, '
            'or path and the name of the class of each column'
        )
    return LabelFile(lines)


def _picked(
    path: str, lines: List[Tuple[int, List[str]]], columns: Mapping[str, Any]
) -> List[Tuple[int, List[str]]]:
    """Bring named columns into the order of files without ``columns``."""
    unknown = sorted(set(columns) - {'path', 'label', 'count'})
    if unknown or 'path' not in columns:
        raise ValueError(
            f'columns name path, label and count, not {unknown or "no path"}'
        )
    header = lines[0][1]
    labels = columns.get('label') or ()
    # What the header calls a column, and its name here.
    pairs = [(columns['path'], 'path')]
    if isinstance(labels, str):
        pairs.append((labels, 'label'))
    else:
        pairs += [(name, name) for name in labels]
    if 'count' in columns:
        pairs.append((columns['count'], 'count'))
    if len(pairs) == 1:
        pairs += [(name, name) for name in header if name != columns['path']]
    for name, _ in pairs:
        if name not in header:
            raise ValueError(
                f'{path}: line {lines[0][0]} has no column {name!r} '
                f'(columns); it names {", ".join(header)}'
            )
    places = [header.index(name) for name, _ in pairs]
    # Cells that a line lacks at its end are empty.
    return [(1, [name for _, name in pairs])] + [
        (number, [cells[i] if i < len(cells) else '' for i in places])
        for number, cells in lines[1:]
    ]


def _is_table(header: List[str], rows: List[List[str]]) -> bool:
    """Whether a file has a column for each class."""
    names = [name for name in header[1:] if name]
    words = [name.lower().rstrip('0123456789_ ') for name in names]
    if not names or any(map(_looks_like_number, names)):
        return False
    if all(word in (*_LABEL_COLUMNS, *_COUNT_COLUMNS) for word in words):
        return False
    image = header[0].lower().endswith(IMG_SUFFIXES)
    if header[0] != 'path' and (image or len(names) < 2):
        return False
    cells = [cell for row in rows for cell in row[1:] if cell]
    return bool(cells) and all(map(_looks_like_number, map(_plain, cells)))


def _plain(cell: str) -> str:
    """Return a cell of a table as a number in English."""
    return _CELLS.get(cell.lower(), cell).replace(',', '.')


def parse_labels(
    place: str, cells: List[str], file: Optional[LabelFile] = None
) -> List[Tuple[str, Optional[int]]]:
    """Parse what a line says about its image; the file may be a table.

    Returns:
        A label and its number of objects, None where that is unknown; only
        ``('', None)`` for an image of nothing.

    Raises:
        ValueError: If the line is broken, or has a number in more than two
            columns and is not ``path,class,count`` with one class; names the
            place, file and line.
    """
    columns = cells[1:]
    classes = file.classes if file is not None else None
    # In a table an empty cell is no number.
    while len(columns) > len(classes or ()) and not columns[-1]:
        columns = columns[:-1]
    if file is not None and classes is not None:
        return _parse_table_row(place, columns, classes, file.counted)
    if len(cells) < 2:
        raise ValueError(
            f'{place}: 1 column, expected path,label[|label...] or '
            'path,class,count'
        )
    labels = [part.strip() for cell in columns for part in cell.split('|')]
    numbers = [label for label in labels if _looks_like_number(label)]
    if len(columns) < 2 or not numbers:
        kept = [label for label in labels if label] or ['']
        return [(label, None) for label in kept]
    if len(columns) != 2 or len(labels) != 2 or labels[1] not in numbers:
        raise ValueError(
            f'{place}: {numbers[0]!r} is a number, so the line must be '
            'path,class,count with one class (or have all labels in one '
            'column, joined by |)'
        )
    if not labels[0]:
        raise ValueError(f'{place}: a count without class')
    return [(labels[0], _parse_count(place, labels[1]))]


def _parse_table_row(
    place: str, cells: List[str], classes: List[str], counted: bool
) -> List[Tuple[str, Optional[int]]]:
    if len(cells) != len(classes):
        raise ValueError(
            f'{place}: {len(cells)} numbers under {len(classes)} names of '
            'classes'
        )
    found: List[Tuple[str, Optional[int]]] = []
    for name, cell in zip(classes, cells):
        count = _parse_count(f'{place}: {name}', _plain(cell))
        if counted or count:
            found.append((name, count if counted else None))
    return found or [('', None)]


def _parse_count(place: str, text: str) -> int:
    # Programs that know gaps write whole numbers as 1.0.
    head, _, tail = text.partition('.')
    text = text if tail.strip('0') else head
    if not text.isdecimal():
        raise ValueError(
            f'{place}: count {text!r} is not a whole number of objects'
        )
    if len(text) > _MAX_DIGITS:
        raise ValueError(
            f'{place}: count {text!r} has more than {_MAX_DIGITS} digits'
        )
    return int(text)


def _looks_like_number(text: str) -> bool:
    """Whether a cell holds a number or only signs such as a raised 2."""
    # Chinese numerals are letters, too, and may name a class.
    return is_number(text) or (text.isnumeric() and not text.isalpha())


def is_number(text: str) -> bool:
    """Whether a cell holds any number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
