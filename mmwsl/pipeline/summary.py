"""One table of all stages."""

import os
import textwrap
from typing import Any, Dict, List, NamedTuple, Optional

from mmwsl.evaluation.functional import format_table
from mmwsl.pipeline.records import write_json
from mmwsl.utils.files import write_whole

# Metrics with a column of their own, so that the stages can be compared.
_COLUMNS = 4
# The one that comes first, even if it is one stage's alone.
_MAIN = 'mIoU'


class Row(NamedTuple):
    """What is told of a stage.

    Attributes:
        name: Of the stage.
        kind: 'train', 'test' or 'tool'.
        state: 'done', 'kept' from an earlier call, 'failed' or 'not run'.
        seconds: Its time, None where it is not finished.
        metrics: Its metrics, None for undefined ones.
    """

    name: str
    kind: str
    state: str
    seconds: Optional[float]
    metrics: Dict[str, Optional[float]]


def clock(seconds: Optional[float]) -> str:
    """Write a time as h:mm:ss; '-' for None."""
    if seconds is None:
        return '-'
    minutes, rest = divmod(round(seconds), 60)
    return f'{minutes // 60}:{minutes % 60:02d}:{rest:02d}'


def number_text(value: Optional[float]) -> str:
    """Write a metric with four digits, or '-' for None."""
    if value is None:
        return '-'
    if isinstance(value, int) or abs(value) >= 1000:
        return f'{value:.0f}'
    return f'{value:.2f}' if abs(value) >= 10 else f'{value:.4g}'


def metrics_text(metrics: Dict[str, Optional[float]]) -> str:
    """Write metrics in one line."""
    return ', '.join(f'{k} {number_text(v)}' for k, v in metrics.items())


def shared_metrics(rows: List[Row]) -> List[str]:
    """The metrics that several stages have, most stages first."""
    counts: Dict[str, int] = {}
    for row in rows:
        for key in row.metrics:
            counts[key] = counts.get(key, 0) + 1
    shared = [key for key in counts if counts[key] > 1 or key == _MAIN]
    shared.sort(key=lambda key: (key != _MAIN, -counts[key]))
    return shared[:_COLUMNS]


def summary_cells(rows: List[Row]) -> List[List[str]]:
    """Header and lines of the table."""
    shared = shared_metrics(rows)
    lines = [['stage', 'kind', 'state', 'time', *shared, 'other metrics']]
    for row in rows:
        rest = {k: v for k, v in row.metrics.items() if k not in shared}
        own = [
            number_text(row.metrics[key]) if key in row.metrics else ''
            for key in shared
        ]
        time = clock(row.seconds)
        lines.append([row.name, row.kind, row.state, time, *own])
        lines[-1].append(metrics_text(rest))
    total = clock(sum(row.seconds or 0 for row in rows))
    lines.append(['all', '', '', total, *[''] * len(shared), ''])
    return lines


def write_summary(folder: str, rows: List[Row]) -> str:
    """Write summary.json and summary.txt, and return the latter's text."""
    cells = summary_cells(rows)
    table = format_table(cells[0][:-1], [line[:-1] for line in cells[1:]])
    # Some stages have more metrics than a line can hold.
    for line in cells[1:]:
        if line[-1]:
            text = f'{line[0]}: {line[-1]}'
            table += '\n' + textwrap.fill(text, 79, subsequent_indent='    ')
    stages: List[Dict[str, Any]] = [row._asdict() for row in rows]
    seconds = round(sum(row.seconds or 0 for row in rows), 1)
    path = os.path.join(folder, 'summary.json')
    write_json(path, dict(seconds=seconds, stages=stages))
    write_whole(os.path.join(folder, 'summary.txt'), f'{table}\n'.encode())
    return table
