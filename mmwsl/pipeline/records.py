"""What is kept on disk of the stages that have begun or ended.

A stage's folder holds ``started.json`` while it runs and ``stage.json`` once
it is finished; both appear whole or not at all.
"""

import hashlib
import json
import math
import os
import shutil
import time
import uuid
from typing import Any, Dict, List, Optional

from mmwsl.apis import load_config
from mmwsl.pipeline.stages import Pipeline, Stage
from mmwsl.utils import files

LOG = 'log.txt'
_STARTED, _FINISHED = 'started.json', 'stage.json'
# These change what is told of a stage, not what it makes.
_TOLD = ('evaluate', 'pictures', 'optional')
_LARGEST = 1e300


def read_json(path: str) -> Optional[Dict[str, Any]]:
    """Read a JSON object, or None if there is no such file.

    Raises:
        ValueError: If the file holds anything else; names it.
    """
    if not os.path.isfile(path):
        return None
    content = files.read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f'{path}: does not hold a JSON object')
    return content


def is_number(value: Any) -> bool:
    """Whether a value of a JSON file is a number that a float can hold."""
    # An integer of 400 digits is valid JSON.
    return isinstance(value, float) or (
        isinstance(value, int)
        and not isinstance(value, bool)
        and abs(value) < _LARGEST
    )


def _read_note(
    pipeline: Pipeline, name: str, file: str
) -> Optional[Dict[str, Any]]:
    """Read what was kept of a stage; None if there is no such file."""
    path = os.path.join(pipeline.folder(name), file)
    note = read_json(path)
    if note is None:
        return None
    identity, metrics = note.get('identity'), note.get('metrics')
    parts = [identity]
    if isinstance(identity, dict):
        parts += [identity.get('settings'), identity.get('uses')]
    numbers: List[Any] = [note.get('seconds'), note.get('attempts')]
    if file == _STARTED:
        numbers.append(note.get('began'))
    else:
        parts.append(metrics)
        if isinstance(metrics, dict):
            numbers += [x for x in metrics.values() if x is not None]
    if not (
        isinstance(note.get('run'), str)
        and all(isinstance(part, dict) for part in parts)
        and all(is_number(x) and math.isfinite(x) for x in numbers)
    ):
        raise ValueError(
            f'{path}: is not what the pipeline writes; remove its folder to '
            'run that stage again'
        )
    return note


def write_json(path: str, content: Any) -> None:
    """Write a JSON file that appears whole or not at all."""
    text = json.dumps(content, indent=1, default=str)
    files.write_whole(path, f'{text}\n'.encode())


def finished_record(pipeline: Pipeline, name: str) -> Optional[Dict[str, Any]]:
    """What was kept of a finished stage, or None."""
    return _read_note(pipeline, name, _FINISHED)


def identity(pipeline: Pipeline, stage: Stage) -> Dict[str, Any]:
    """All that decides what a stage makes.

    Returns:
        Its settings, a digest of its config with all its bases, and which
        runs of earlier stages it takes from (None: not finished).
    """
    settings = {k: v for k, v in stage.what.items() if k not in _TOLD}
    found: Dict[str, Any] = {'settings': settings, 'config': None}
    if stage.kind != 'tool':
        cfg = load_config(stage.program, stage.what.get('cfg_options'))
        text = json.dumps(cfg.to_dict(), sort_keys=True, default=str)
        found['config'] = hashlib.sha256(text.encode()).hexdigest()
    found['uses'] = {
        name: (finished_record(pipeline, name) or {}).get('run')
        for name in stage.uses
    }
    # As it comes back from disk.
    return json.loads(json.dumps(found, default=str))


def differences(old: Dict[str, Any], new: Dict[str, Any]) -> List[str]:
    """What of a stage's identity is not as it was, in words."""
    words = []
    before, after = old.get('settings', {}), new['settings']
    for key in {**before, **after}:
        if before.get(key) != after.get(key):
            words.append(key)
    if not words and old.get('config') != new['config']:
        words.append('what the config file holds')
    for name, run in new['uses'].items():
        if old.get('uses', {}).get(name) != run:
            words.append(f'the run of {name!r}')
    return words


def started_record(pipeline: Pipeline, name: str) -> Optional[Dict[str, Any]]:
    """What was kept of a stage that began and did not end, or None."""
    return _read_note(pipeline, name, _STARTED)


def begin(
    pipeline: Pipeline, stage: Stage, found: Dict[str, Any]
) -> Dict[str, Any]:
    """Note that a stage begins, or goes on, and return the note.

    The time of a run that was killed counts until its last line of log.
    """
    folder = pipeline.folder(stage.name)
    note = started_record(pipeline, stage.name)
    if note is None:
        note = dict(run=uuid.uuid4().hex, seconds=0.0, attempts=0)
    else:
        log = os.path.join(folder, LOG)
        last = os.path.getmtime(log) if os.path.isfile(log) else 0.0
        note['seconds'] += max(0.0, last - note['began'])
    note.update(
        began=time.time(), attempts=note['attempts'] + 1, identity=found
    )
    write_json(os.path.join(folder, _STARTED), note)
    return note


def finish(
    pipeline: Pipeline,
    stage: Stage,
    note: Dict[str, Any],
    metrics: Dict[str, Optional[float]],
) -> Dict[str, Any]:
    """Note that a stage has ended, and return the note."""
    folder = pipeline.folder(stage.name)
    record = {
        'name': stage.name,
        'run': note['run'],
        'seconds': round(note['seconds'], 1),
        'attempts': note['attempts'],
        'metrics': metrics,
        'evaluate': stage.what.get('evaluate'),
        'identity': note['identity'],
    }
    write_json(os.path.join(folder, _FINISHED), record)
    started = os.path.join(folder, _STARTED)
    if os.path.exists(started):
        os.remove(started)
    return record


def clear(pipeline: Pipeline, name: str) -> None:
    """Remove a stage's folder; a killed removal leaves nothing half."""
    folder = pipeline.folder(name)
    # No stage has a name with a dot.
    old = f'{folder}.old'
    if os.path.isdir(old):
        shutil.rmtree(old)
    if os.path.isdir(folder):
        os.rename(folder, old)
        shutil.rmtree(old)
