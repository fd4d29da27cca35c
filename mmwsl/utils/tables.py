"""Plain text tables, so that reports need no further package."""

from __future__ import annotations

import csv
import io
import math
import numbers
from typing import Any, Iterable, List, Mapping, Sequence, Union

import numpy as np


def class_name(classes: Sequence[str], label: int) -> str:
    """Return the name of a class; 'class 3' where there is none."""
    return classes[label] if label < len(classes) else f'class {label}'


def percent(fraction: Union[float, np.ndarray]) -> float:
    """A fraction in percent with two decimals; NaN stays NaN."""
    return round(100 * float(fraction), 2)


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Write rows of cells as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerows(rows)
    return text.getvalue()


def format_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Align columns: the first to the left, all others to the right.

    A float is a fraction that is shown in percent ('-' for NaN), an int and a
    str are shown as they are.
    """
    lines = [list(header)] + [[_cell(x) for x in row] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    rule = '+'.join('-' * (width + 2) for width in widths).join('++')
    text: List[str] = []
    for line in lines:
        cells = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths))
        ]
        text.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join([rule, text[0], rule, *text[1:], rule])


def format_columns(columns: Mapping[str, Sequence[Any]]) -> str:
    """Align columns, of one length, under their titles, see above."""
    return format_table(list(columns), list(zip(*columns.values())))


def _cell(value: Any) -> str:
    if isinstance(value, (str, numbers.Integral)):
        return str(value)
    return '-' if math.isnan(value) else f'{100 * value:.2f}'
