"""Running the stages of a pipeline.

A stage's folder holds ``started.json`` while it runs and ``stage.json`` once
it is finished; both appear whole or not at all.
"""

import ctypes
import hashlib
import json
import math
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from filelock import FileLock, Timeout

from mmwsl.pipeline.page import (
    Row,
    clock,
    metrics_text,
    write_page,
    write_summary,
)
from mmwsl.pipeline.stages import (
    EVALUATION,
    Pipeline,
    Stage,
    evaluation_command,
    fill_in,
    read_object,
    stage_command,
)
from mmwsl.utils.config import load_config
from mmwsl.utils.files import write_whole

# These change what is told of a stage, not what it makes.
_TOLD = ('evaluate', 'pictures', 'optional')
# Scalars of the runner that say nothing of quality.
_PLAIN = {'base_lr', 'data_time', 'epoch', 'eta', 'grad_norm', 'iter', 'lr'}
_PLAIN |= {'memory', 'step', 'time'}
_LARGEST = 1e300
_PR_SET_PDEATHSIG = 1
FINISHED = 'finished, skipped'
EVALUATE = 'finished, its evaluation changed'
BROKEN = 'goes on where it was broken off'
NEW = 'runs'
CHANGED = 'runs anew'


def run_pipeline(
    pipeline: Pipeline,
    first: Optional[str] = None,
    last: Optional[str] = None,
) -> None:
    """Run the stages that are not finished.

    Args:
        pipeline: The pipeline.
        first: Stage to start with; those before it are taken as they are.
        last: Stage to end with.

    Raises:
        ChildProcessError: If a stage fails.
        FileNotFoundError: If what a stage takes from others is missing.
        OSError: If another pipeline runs in the folder.
        ValueError: If a stage is unknown, or a folder is not a stage's.
    """
    chosen = _chosen(pipeline, first, last)
    folder = pipeline.work_dir
    os.makedirs(folder, exist_ok=True)
    try:
        lock = FileLock(os.path.join(folder, '.lock')).acquire(timeout=0)
    except Timeout as error:
        message = f'{folder}: another pipeline is running there'
        raise OSError(message) from error
    states: Dict[str, str] = {}
    start = time.monotonic()
    with lock:
        try:
            for index in chosen:
                _run_stage(pipeline, index, chosen, states, start)
        except KeyboardInterrupt:
            states[pipeline.stages[index].name] = 'stopped'
            raise
        finally:
            print(f'\n{_tell(pipeline, states)}', flush=True)
    print(f'pictures: {os.path.join(folder, "index.html")}')


def show_plan(
    pipeline: Pipeline,
    first: Optional[str] = None,
    last: Optional[str] = None,
) -> None:
    """Print what :func:`run_pipeline` would do; nothing is written."""
    renewed: List[str] = []
    chosen = _chosen(pipeline, first, last)
    for index in chosen:
        stage = pipeline.stages[index]
        _check_inputs(pipeline, stage, chosen)
        state, reasons, _ = _plan(pipeline, stage, renewed)
        if state in (NEW, CHANGED, BROKEN):
            renewed.append(stage.name)
        why = f' ({", ".join(reasons)} changed)' if reasons else ''
        print(f'{_place(pipeline, index)}: {state}{why}')
        print(f'    {shlex.join(stage_command(pipeline, stage, False))}')


def _plan(
    pipeline: Pipeline, stage: Stage, renewed: List[str]
) -> Tuple[str, List[str], Dict[str, Any]]:
    """Find out how a stage is, what of it changed, and what it is now.

    That is its settings, a digest of its config with all bases, and which
    runs of earlier stages it takes from, ``renewed`` ones being to come.
    """
    settings = {k: v for k, v in stage.what.items() if k not in _TOLD}
    digest, uses = None, {}
    if stage.kind != 'tool':
        cfg = load_config(stage.program, stage.what.get('cfg_options'))
        text = json.dumps(cfg.to_dict(), sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()
    for name in stage.uses:
        run = (_record(pipeline, name) or {}).get('run')
        uses[name] = 'to come' if name in renewed else run
    identity = dict(settings=settings, config=digest, uses=uses)
    # As it comes back from disk.
    identity = json.loads(json.dumps(identity, default=str))
    record = _record(pipeline, stage.name)
    note = record or _record(pipeline, stage.name, 'started.json')
    if note is None:
        folder = pipeline.folder(stage.name)
        if os.path.isdir(folder) and os.listdir(folder):
            raise ValueError(
                f'{folder}: holds files that are not of this pipeline; move '
                'them or choose another --work-dir'
            )
        return NEW, [], identity
    old, new = note['identity']['settings'], identity['settings']
    reasons = [k for k in {**old, **new} if old.get(k) != new.get(k)]
    if not reasons and note['identity'].get('config') != digest:
        reasons = ['what the config file holds']
    old = note['identity']['uses']
    reasons += [
        f'the run of {k!r}' for k, run in uses.items() if old.get(k) != run
    ]
    if reasons:
        return CHANGED, reasons, identity
    if record is None:
        return BROKEN, [], identity
    same = record.get('evaluate') == stage.what.get('evaluate')
    return (FINISHED if same else EVALUATE), [], identity


def _chosen(
    pipeline: Pipeline, first: Optional[str], last: Optional[str]
) -> range:
    """Positions of the stages to run."""
    begin = pipeline.index(first, '--from') if first else 0
    end = len(pipeline.stages) - 1
    if last:
        end = pipeline.index(last, '--to')
    if begin > end:
        raise ValueError(f'--from {first} comes after --to {last}')
    return range(begin, end + 1)


def _check_inputs(pipeline: Pipeline, stage: Stage, chosen: range) -> None:
    """Check the stages before --from that a stage takes from."""
    before = {other.name for other in pipeline.stages[: chosen[0]]}
    for name in filter(before.__contains__, stage.uses):
        checkpoint = f'{{{name}.checkpoint}}'
        if checkpoint in str(stage.what):
            fill_in(pipeline, checkpoint, stage.name)
        if _record(pipeline, name) is None:
            raise FileNotFoundError(
                f'stage {stage.name!r} needs stage {name!r}, which is not '
                f'finished in {pipeline.folder(name)}; run it first'
            )


def _place(pipeline: Pipeline, index: int) -> str:
    return (
        f'[{index + 1}/{len(pipeline.stages)}] {pipeline.stages[index].name}'
    )


def _run_stage(
    pipeline: Pipeline,
    index: int,
    chosen: range,
    states: Dict[str, str],
    start: float,
) -> None:
    """Run a stage, or find that there is nothing to run."""
    stage = pipeline.stages[index]
    folder = pipeline.folder(stage.name)

    def say(text: str) -> None:
        elapsed = clock(time.monotonic() - start)
        place = _place(pipeline, index)
        print(f'== {place}: {text} (elapsed {elapsed})', flush=True)

    _check_inputs(pipeline, stage, chosen)
    state, reasons, identity = _plan(pipeline, stage, [])
    states[stage.name] = 'kept' if state == FINISHED else 'failed'
    if state == CHANGED:
        say(f'{", ".join(reasons)} changed, its folder is cleared')
        # A killed removal leaves nothing half; no stage's name has a dot.
        old = f'{folder}.old'
        shutil.rmtree(old, ignore_errors=True)
        os.rename(folder, old)
        shutil.rmtree(old)
    say(state)
    if state == FINISHED:
        return
    note = _record(pipeline, stage.name)
    if note is None:
        note = _begin(pipeline, stage, identity)
        _call(stage, folder, note, stage_command(pipeline, stage))
    scores = Path(folder, EVALUATION)
    scores.unlink(missing_ok=True)
    command = evaluation_command(pipeline, stage)
    if command:
        _call(stage, folder, note, command)
    note.pop('began', None)
    note.update(
        name=stage.name,
        evaluate=stage.what.get('evaluate'),
        metrics=stage_metrics(folder, stage.kind),
        seconds=round(note['seconds'], 1),
    )
    _write(os.path.join(folder, 'stage.json'), note)
    Path(folder, 'started.json').unlink(missing_ok=True)
    states[stage.name] = 'done'
    words = metrics_text(note['metrics'])
    say(f'done in {clock(note["seconds"])}{": " if words else ""}{words}')
    _tell(pipeline, states)


def _begin(
    pipeline: Pipeline, stage: Stage, identity: Dict[str, Any]
) -> Dict[str, Any]:
    """Note that a stage begins, or goes on.

    The time of a run that was killed counts until its last line of log.
    """
    folder = pipeline.folder(stage.name)
    note = _record(pipeline, stage.name, 'started.json')
    if note is None:
        note = dict(run=uuid.uuid4().hex, seconds=0.0, attempts=0)
    else:
        log = os.path.join(folder, 'log.txt')
        last = os.path.getmtime(log) if os.path.isfile(log) else 0.0
        note['seconds'] += max(0.0, last - note['began'])
    note.update(
        began=time.time(), attempts=note['attempts'] + 1, identity=identity
    )
    _write(os.path.join(folder, 'started.json'), note)
    return note


def _call(
    stage: Stage, folder: str, note: Dict[str, Any], command: List[str]
) -> None:
    """Run a command of a stage and count its time."""
    log = os.path.join(folder, 'log.txt')
    with open(log, 'a', encoding='utf-8') as file:
        file.write(f'$ {shlex.join(command)}\n')
    start = time.monotonic()
    code = run_logged(command, log)
    note['seconds'] += time.monotonic() - start
    if code:
        how = f'failed with exit code {code}'
        if code < 0:
            how = f'was killed by {signal.Signals(-code).name}'
        raise ChildProcessError(
            f'stage {stage.name!r} {how}: {last_error(log)}; its log is {log}'
        )


def run_logged(command: List[str], log_file: str) -> int:
    """Run a command that does not outlive this process; return its code.

    What it prints goes to the terminal and to the end of a file.
    """
    parent = os.getpid()
    linux = sys.platform.startswith('linux')
    libc = ctypes.CDLL(None) if linux else None

    def die_with_parent() -> None:
        assert libc is not None
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    with open(log_file, 'a', encoding='utf-8') as log, subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(os.environ, PYTHONUNBUFFERED='1'),
        encoding='utf-8',
        errors='replace',
        preexec_fn=die_with_parent if linux else None,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                log.write(line)
                log.flush()
                print(line, end='', flush=True)
        except BaseException:
            process.kill()
            raise
    return process.returncode


def last_error(log_file: str) -> str:
    """The last line of a log that tells of an error, or the last line."""
    with open(log_file, 'rb') as file:
        file.seek(max(0, os.path.getsize(log_file) - 20000))
        lines = file.read().decode('utf-8', 'replace').splitlines()
    lines = [line.strip() for line in lines if line.strip()]
    errors = [line for line in lines if line.startswith('error: ')]
    found = (errors or lines or [''])[-1]
    return found[len('error: ') :] if errors else found


def stage_metrics(folder: str, kind: str) -> Dict[str, Optional[float]]:
    """Collect the metrics of a stage; None for what is undefined.

    Where ``metrics.json`` or the evaluation of label maps has a name of the
    runner's, the runner's is called ``val/name`` or ``test/name``.
    """
    found: Dict[str, Any] = {}
    if kind == 'train':
        found = _training_scalars(folder)
    elif kind != 'tool':
        for file in sorted(Path(folder).glob('2*/2*.json'))[-1:]:
            found = read_object(str(file))
    found = {
        key: value
        for key, value in found.items()
        if _is_number(value) and key.split('/')[-1] not in _PLAIN
    }
    prefix = dict(train='val', tool='tool').get(kind, 'test')
    for name in ('metrics.json', EVALUATION):
        path = os.path.join(folder, name)
        written = read_object(path) if os.path.isfile(path) else {}
        for key, value in written.items():
            if value is not None and not _is_number(value):
                raise ValueError(f'{path}: {key} is {value!r}, not a number')
            if key in found:
                found[f'{prefix}/{key}'] = found[key]
            found[key] = value
    return {
        key: None if value is None or not math.isfinite(value) else value
        for key, value in found.items()
    }


def _training_scalars(folder: str) -> Dict[str, Any]:
    """The last loss and what the last evaluation gave, over all attempts."""
    found: Dict[str, Any] = {}
    for path in sorted(Path(folder).glob('2*/vis_data/scalars.json')):
        text = path.read_text(encoding='utf-8', errors='replace')
        for line in text.splitlines():
            entry = None
            # A killed run ends anywhere.
            with suppress(ValueError, RecursionError):
                entry = json.loads(line)
            if not isinstance(entry, dict):
                continue
            if 'lr' not in entry:
                found.update(entry)
            elif 'loss' in entry:
                found['loss'] = entry['loss']
    return found


def _is_number(value: Any) -> bool:
    """Whether a value of a JSON file is a number that a float can hold."""
    # An integer of 400 digits is valid JSON.
    return isinstance(value, float) or (
        isinstance(value, int)
        and not isinstance(value, bool)
        and abs(value) < _LARGEST
    )


def _write(path: str, content: Dict[str, Any]) -> None:
    text = json.dumps(content, indent=1, default=str)
    write_whole(path, f'{text}\n'.encode())


def _record(
    pipeline: Pipeline, name: str, file: str = 'stage.json'
) -> Optional[Dict[str, Any]]:
    """What was kept of a stage, or None."""
    path = os.path.join(pipeline.folder(name), file)
    if not os.path.isfile(path):
        return None
    record = read_object(path)
    metrics = record.setdefault('metrics', {})
    sound = isinstance(record.get('run'), str)
    with suppress(AttributeError, KeyError, TypeError):
        identity = record['identity']
        parts = [metrics, identity['settings'], identity['uses']]
        numbers = [record['seconds'], record['attempts']]
        numbers += [x for x in metrics.values() if x is not None]
        if file == 'started.json':
            numbers.append(record['began'])
        sound = sound and all(isinstance(part, dict) for part in parts)
        if sound and all(_is_number(x) and math.isfinite(x) for x in numbers):
            return record
    raise ValueError(
        f'{path}: is not what the pipeline writes; remove its folder to run '
        'that stage again'
    )


def _tell(pipeline: Pipeline, states: Dict[str, str]) -> str:
    """Write summary and page; return the table."""
    rows = []
    for stage in pipeline.stages:
        record = _record(pipeline, stage.name) or {}
        state = states.get(stage.name, 'kept' if record else '-')
        told = record.get('seconds'), record.get('metrics', {})
        rows.append(Row(stage.name, stage.kind, state, *told))
    table = write_summary(pipeline.work_dir, rows)
    if not any(row.seconds for row in rows):
        return table
    try:
        write_page(pipeline, rows)
    # Hours of training do not depend on pictures.
    except (OSError, ValueError) as error:
        print(f'no page: {error}', flush=True)
    return table
