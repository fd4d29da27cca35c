"""Write ``docs/results.md``: what the methods measure on real images.

``python scripts/results.py``

``docs/results/`` holds the metrics of each run, the json file that
``tools/test.py`` wrote, as ``NAME_seedN.json``, with the ``command`` that
trained it and its ``minutes`` on one core; ``tables.yml`` says which names
and metrics each table shows.
"""

import json
import re
from pathlib import Path
from typing import Any, Dict, List

import yaml

FOLDER = Path(__file__).resolve().parents[1] / 'docs' / 'results'
HEAD = '<!-- made by scripts/results.py from the files of docs/results -->\n'

Runs = Dict[str, List[Dict[str, Any]]]


def read_runs(folder: Path) -> Runs:
    """Read the runs of each name, in the order of their seeds.

    Raises:
        ValueError: A file is not called ``NAME_seedN.json``.
    """
    runs: Runs = {}
    for path in sorted(folder.glob('*.json')):
        match = re.fullmatch(r'(.+)_seed\d+', path.stem)
        if match is None:
            raise ValueError(f'{path}: not called NAME_seedN.json')
        run = json.loads(path.read_text('utf-8'))
        runs.setdefault(match[1], []).append(run)
    return runs


def cell(runs: List[Dict[str, Any]], metric: str, digits: int) -> str:
    """Say the mean of a metric and, of several seeds, its range."""
    values = [float(run[metric]) for run in runs if metric in run]
    if not values:
        return ''
    mean = f'{sum(values) / len(values):.{digits}f}'
    if len(values) == 1:
        return mean
    return f'{mean} ({min(values):.{digits}f} to {max(values):.{digits}f})'


def table(content: Dict[str, Any], runs: Runs) -> List[str]:
    """Return the lines of a table.

    Raises:
        ValueError: A row names runs that do not exist.
    """
    metrics, digits = content['metrics'], content.get('digits', 1)
    lines = [
        f'## {content["title"]}',
        '',
        content['text'].strip(),
        '',
        '| ' + ' | '.join(['what', *metrics.values(), 'seeds']) + ' |',
        '|---' * (len(metrics) + 2) + '|',
    ]
    for what, name in content['rows'].items():
        if name not in runs:
            raise ValueError(f'tables.yml: no file {name}_seedN.json')
        cells = [cell(runs[name], metric, digits) for metric in metrics]
        lines.append(f'| {" | ".join([what, *cells, str(len(runs[name]))])} |')
    return [*lines, '', *commands(content['rows'], runs)]


def commands(rows: Dict[str, str], runs: Runs) -> List[str]:
    """Return a folded list of the commands of a table's rows."""
    lines = ['<details><summary>Commands and minutes on one core</summary>']
    for what, name in rows.items():
        run = runs[name][0]
        lines += [
            '',
            f'{what}: {run["minutes"]:.0f} minutes',
            '',
            '<!-- needs: data -->',
            '```bash',
            run['command'],
            '```',
        ]
    return [*lines, '', '</details>', '']


def page(folder: Path = FOLDER) -> str:
    """Return the page.

    Raises:
        ValueError: A run is in no table, or a row has none.
    """
    runs = read_runs(folder)
    content = yaml.safe_load((folder / 'tables.yml').read_text('utf-8'))
    named = {name for x in content['tables'] for name in x['rows'].values()}
    if left := sorted(set(runs) - named):
        raise ValueError(f'tables.yml: no row for {", ".join(left)}')
    lines = [HEAD + content['text']]
    for part in content['tables']:
        lines += table(part, runs)
    return '\n'.join(lines).rstrip() + '\n'


if __name__ == '__main__':
    FOLDER.with_suffix('.md').write_text(page(), encoding='utf-8')
