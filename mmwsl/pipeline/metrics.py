"""The metrics of a stage, read from what it left."""

import json
import math
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, List, Optional

from mmwsl.pipeline.commands import EVALUATION
from mmwsl.pipeline.records import is_number, read_json

METRICS = 'metrics.json'
# Scalars of the runner that say nothing of quality.
_PLAIN = (
    'base_lr',
    'data_time',
    'epoch',
    'eta',
    'grad_norm',
    'iter',
    'lr',
    'memory',
    'step',
    'time',
)


def stage_metrics(folder: str, kind: str) -> Dict[str, Optional[float]]:
    """Collect the metrics of a stage.

    Args:
        folder: The folder of the stage.
        kind: 'train', 'test' or 'tool'.

    Returns:
        Those of the runner, of ``metrics.json`` and of the evaluation of
        label maps; None for what is undefined. Where the last two have a
        name of the runner's, the runner's is ``val/name`` or ``test/name``.

    Raises:
        ValueError: If ``metrics.json`` is no flat dict of numbers.
    """
    found: Dict[str, Any] = {}
    if kind == 'train':
        found = _training_scalars(folder)
    elif kind == 'test':
        files = sorted(Path(folder).glob('2*/2*.json'))
        found = (read_json(str(files[-1])) or {}) if files else {}
    found = {k: v for k, v in found.items() if _is_metric(k, v)}
    for name in (METRICS, EVALUATION):
        path = os.path.join(folder, name)
        written = read_json(path) or {}
        for key, value in written.items():
            if value is not None and not is_number(value):
                raise ValueError(f'{path}: {key} is {value!r}, not a number')
        for key in set(found) & set(written):
            prefix = dict(train='val', test='test').get(kind, 'tool')
            found[f'{prefix}/{key}'] = found[key]
        found.update(written)
    return {key: _defined(value) for key, value in found.items()}


def _training_scalars(folder: str) -> Dict[str, Any]:
    """The last loss and what the last evaluation gave, over all attempts."""
    entries: List[Dict[str, Any]] = []
    for path in sorted(Path(folder).glob('2*/vis_data/scalars.json')):
        text = path.read_text(encoding='utf-8', errors='replace')
        for line in text.splitlines():
            # A killed run ends anywhere.
            with suppress(ValueError, RecursionError):
                entry = json.loads(line)
                entries += [entry] if isinstance(entry, dict) else []
    found: Dict[str, Any] = {}
    for entry in entries:
        if 'lr' not in entry:
            found.update(entry)
        elif 'loss' in entry:
            found['loss'] = entry['loss']
    return found


def _is_metric(key: str, value: Any) -> bool:
    return is_number(value) and key.split('/')[-1] not in _PLAIN


def _defined(value: Any) -> Optional[float]:
    if value is None or not math.isfinite(value):
        return None
    return value
