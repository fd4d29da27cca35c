"""CSV files of labels: ``path,label[|label...]`` or ``path,class,count``."""

import csv
from typing import Iterator, List, Optional, Tuple

from mmwsl.datasets.files import read_lines


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
        cells (list[str]): ``path,label[|label...]`` or ``path,class,count``.

    Returns:
        list: A label and its number of objects, None where that is unknown;
        only ``('', None)`` for an image of nothing.

    Raises:
        ValueError: If the line is broken; names the place.
    """
    if len(cells) < 2:
        raise ValueError(
            f'{place}: 1 column, expected path,label[|label...] or '
            'path,class,count'
        )
    if len(cells) == 3 and is_number(cells[2]):
        if not cells[2].isdigit():
            raise ValueError(
                f'{place}: count {cells[2]!r} is not a whole number of objects'
            )
        if not cells[1]:
            raise ValueError(f'{place}: a count without class')
        return [(cells[1], int(cells[2]))]
    # Labels may also be spread over columns, some of them empty.
    labels = [part.strip() for cell in cells[1:] for part in cell.split('|')]
    kept = [label for label in labels if label] or ['']
    return [(label, None) for label in kept]


def is_number(text: str) -> bool:
    """Whether a cell holds any number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
