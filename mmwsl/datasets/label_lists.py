"""CSV files of labels: ``path,label[|label...]`` or ``path,class,count``.

Labels may also be spread over columns, ``path,label,label``, and lines may
end in commas. A number in a line of more than two columns is a count: such a
line must be ``path,class,count`` with one class. So labels that are numbers
stand in one column, as in ``path,3|5``.
"""

import csv
from typing import Iterator, List, Optional, Tuple

from mmwsl.datasets.files import read_lines

# Longer counts might not fit the 64 bits of gt_count.
_MAX_DIGITS = 18


def csv_lines(path: str, what: str) -> Iterator[Tuple[int, List[str]]]:
    """Yield line numbers and cells, without header and empty lines.

    Args:
        path (str): The file; a first line ``path,...`` is its header.
        what (str): What it is, for errors.

    Yields:
        tuple: Number of the line, from 1, and its cells without white space
        around them.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no text.
    """
    reader = csv.reader(read_lines(path, what), skipinitialspace=True)
    for cells in reader:
        cells = [cell.strip() for cell in cells]
        header = reader.line_num == 1 and cells[:1] == ['path']
        if any(cells) and not header:
            yield reader.line_num, cells


def parse_labels(
    place: str, cells: List[str]
) -> List[Tuple[str, Optional[int]]]:
    """Parse what a line says about its image.

    Args:
        place (str): File and line, for errors.
        cells (list[str]): ``path,label[|label...]`` or ``path,class,count``;
            empty cells at the end do not count as columns.

    Returns:
        list: A label and its number of objects, None where that is unknown;
        only ``('', None)`` for an image of nothing.

    Raises:
        ValueError: If the line is broken, or has a number in more than two
            columns and is not ``path,class,count`` with one class; names the
            place.
    """
    if len(cells) < 2:
        raise ValueError(
            f'{place}: 1 column, expected path,label[|label...] or '
            'path,class,count'
        )
    columns = cells[1:]
    while columns and not columns[-1]:
        columns = columns[:-1]
    labels = [part.strip() for cell in columns for part in cell.split('|')]
    numbers = [label for label in labels if _looks_like_number(label)]
    if len(columns) > 1 and numbers:
        if len(columns) != 2 or len(labels) != 2 or labels[1] not in numbers:
            raise ValueError(
                f'{place}: {numbers[0]!r} is a number, so the line must be '
                'path,class,count with one class (or have all labels in one '
                'column, joined by |)'
            )
        name, count = labels
        if not name:
            raise ValueError(f'{place}: a count without class')
        return [(name, _parse_count(place, count))]
    kept = [label for label in labels if label] or ['']
    return [(label, None) for label in kept]


def _parse_count(place: str, text: str) -> int:
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
