"""Print what the latest test of a work folder measured."""

import json
import sys
from pathlib import Path


def main(work_dir: str) -> int:
    """Print every scalar of the newest metrics file, one a line.

    mmengine writes the metrics of a test to ``TIMESTAMP/TIMESTAMP.json``.
    """
    files = sorted(Path(work_dir).glob('[0-9]*_[0-9]*/[0-9]*_[0-9]*.json'))
    if not files:
        print(f'error: {work_dir} has no metrics', file=sys.stderr)
        return 1
    metrics = json.loads(files[-1].read_text(encoding='utf-8'))
    numbers = {
        name: value
        for name, value in metrics.items()
        if isinstance(value, (int, float)) and not name.endswith('time')
    }
    width = max(map(len, numbers), default=0)
    for name, value in numbers.items():
        print(f'  {name:<{width}}  {value:.2f}')
    return 0


if __name__ == '__main__':
    raise SystemExit(main(sys.argv[1]))
