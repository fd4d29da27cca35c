"""Running the stages of a pipeline."""

import os
import shlex
import signal
import time
from enum import Enum
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from mmwsl.pipeline import records
from mmwsl.pipeline.commands import (
    EVALUATION,
    evaluation_command,
    fill_in,
    stage_command,
)
from mmwsl.pipeline.metrics import stage_metrics
from mmwsl.pipeline.page import write_page
from mmwsl.pipeline.processes import last_error, locked, run_logged
from mmwsl.pipeline.stages import Pipeline, Stage
from mmwsl.pipeline.summary import Row, clock, metrics_text, write_summary


class State(Enum):
    """How a stage is found, and what will be done with it."""

    FINISHED = 'finished, skipped'
    EVALUATE = 'finished, its evaluation changed'
    BROKEN = 'goes on where it was broken off'
    NEW = 'runs'
    CHANGED = 'runs anew'


class Plan(NamedTuple):
    """What will be done with a stage, why, and what it is now."""

    state: State
    reasons: List[str]
    identity: Dict[str, Any]


def plan_stage(
    pipeline: Pipeline, stage: Stage, renewed: Tuple[str, ...] = ()
) -> Plan:
    """Find out what is to be done with a stage.

    Args:
        pipeline: The pipeline.
        stage: The stage.
        renewed: Stages that will have run anew by then.

    Raises:
        ValueError: If its folder holds files that no stage made.
    """
    found = records.identity(pipeline, stage)
    for name in stage.uses:
        if name in renewed:
            found['uses'][name] = 'to come'
    record = records.finished_record(pipeline, stage.name)
    note = record or records.started_record(pipeline, stage.name)
    if note is None:
        folder = pipeline.folder(stage.name)
        if os.path.isdir(folder) and os.listdir(folder):
            raise ValueError(
                f'{folder}: holds files that are not of this pipeline; move '
                'them or choose another --work-dir'
            )
        return Plan(State.NEW, [], found)
    reasons = records.differences(note['identity'], found)
    if reasons:
        return Plan(State.CHANGED, reasons, found)
    if record is None:
        return Plan(State.BROKEN, [], found)
    if record.get('evaluate') != stage.what.get('evaluate'):
        return Plan(State.EVALUATE, [], found)
    return Plan(State.FINISHED, [], found)


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
        ValueError: If a stage is unknown, or a folder is not a stage's.
    """
    chosen = _chosen(pipeline, first, last)
    with locked(pipeline.work_dir) as lock:
        run = _Run(pipeline, lock, chosen)
        try:
            for index in chosen:
                run.stage(index)
        finally:
            table = run.tell()
            print(f'\n{table}', flush=True)
    print(f'pictures: {os.path.join(pipeline.work_dir, "index.html")}')


def show_plan(
    pipeline: Pipeline,
    first: Optional[str] = None,
    last: Optional[str] = None,
) -> None:
    """Print what :func:`run_pipeline` would do; nothing is written."""
    renewed: Tuple[str, ...] = ()
    chosen = _chosen(pipeline, first, last)
    for index in chosen:
        stage = pipeline.stages[index]
        _check_inputs(pipeline, stage, chosen)
        plan = plan_stage(pipeline, stage, renewed)
        if plan.state in (State.NEW, State.CHANGED, State.BROKEN):
            renewed += (stage.name,)
        why = f' ({", ".join(plan.reasons)} changed)' if plan.reasons else ''
        print(f'{_place(pipeline, index)}: {plan.state.value}{why}')
        print(f'    {shlex.join(stage_command(pipeline, stage, False))}')


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
    names = [stage.name for stage in pipeline.stages]
    for name in stage.uses:
        if names.index(name) in chosen:
            continue
        checkpoint = f'{{{name}.checkpoint}}'
        if checkpoint in str(stage.what):
            fill_in(pipeline, checkpoint, stage.name)
        if records.finished_record(pipeline, name) is None:
            raise FileNotFoundError(
                f'stage {stage.name!r} needs stage {name!r}, which is not '
                f'finished in {pipeline.folder(name)}; run it first'
            )


def _place(pipeline: Pipeline, index: int) -> str:
    return (
        f'[{index + 1}/{len(pipeline.stages)}] {pipeline.stages[index].name}'
    )


class _Run:
    """One call of the command."""

    def __init__(
        self, pipeline: Pipeline, lock: Tuple[int, ...], chosen: range
    ) -> None:
        self.pipeline = pipeline
        self.lock = lock
        self.chosen = chosen
        self.start = time.monotonic()
        self.states: Dict[str, str] = {}

    def say(self, index: int, text: str) -> None:
        """Print where the pipeline is."""
        elapsed = clock(time.monotonic() - self.start)
        place = _place(self.pipeline, index)
        print(f'== {place}: {text} (elapsed {elapsed})', flush=True)

    def stage(self, index: int) -> None:
        """Run a stage, or find that there is nothing to run."""
        pipeline, stage = self.pipeline, self.pipeline.stages[index]
        _check_inputs(pipeline, stage, self.chosen)
        plan = plan_stage(pipeline, stage)
        if plan.state is State.FINISHED:
            self.states[stage.name] = 'kept'
            self.say(index, plan.state.value)
            return
        self.states[stage.name] = 'failed'
        if plan.state is State.CHANGED:
            changed = ', '.join(plan.reasons)
            self.say(index, f'{changed} changed, its folder is cleared')
            records.clear(pipeline, stage.name)
        self.say(index, plan.state.value)
        if plan.state is State.EVALUATE:
            record = records.finished_record(pipeline, stage.name)
            assert record is not None
            note = record
        else:
            note = records.begin(pipeline, stage, plan.identity)
            self.call(index, note, stage_command(pipeline, stage))
        self.evaluate(index, note)
        metrics = stage_metrics(pipeline.folder(stage.name), stage.kind)
        record = records.finish(pipeline, stage, note, metrics)
        self.states[stage.name] = 'done'
        words = metrics_text(metrics)
        spent = clock(record['seconds'])
        self.say(index, f'done in {spent}{": " if words else ""}{words}')
        self.tell()

    def evaluate(self, index: int, note: Dict[str, Any]) -> None:
        """Score the label maps of a stage, if it says so."""
        stage = self.pipeline.stages[index]
        path = os.path.join(self.pipeline.folder(stage.name), EVALUATION)
        if os.path.exists(path):
            os.remove(path)
        if stage.what.get('evaluate'):
            command = evaluation_command(self.pipeline, stage)
            self.call(index, note, command)

    def call(
        self, index: int, note: Dict[str, Any], command: List[str]
    ) -> None:
        """Run a command of a stage and count its time."""
        stage = self.pipeline.stages[index]
        folder = self.pipeline.folder(stage.name)
        log = os.path.join(folder, records.LOG)
        with open(log, 'a', encoding='utf-8') as file:
            file.write(f'$ {shlex.join(command)}\n')
        start = time.monotonic()
        code = run_logged(command, log, self.lock)
        note['seconds'] += time.monotonic() - start
        if code:
            how = f'failed with exit code {code}'
            if code < 0:
                how = f'was killed by {signal.Signals(-code).name}'
            raise ChildProcessError(
                f'stage {stage.name!r} {how}: {last_error(log)}; its log is '
                f'{log}'
            )

    def tell(self) -> str:
        """Write summary and page; return the table."""
        rows = []
        for stage in self.pipeline.stages:
            record = records.finished_record(self.pipeline, stage.name)
            state = self.states.get(stage.name, 'kept' if record else '-')
            seconds = record['seconds'] if record else None
            metrics = record['metrics'] if record else {}
            rows.append(Row(stage.name, stage.kind, state, seconds, metrics))
        table = write_summary(self.pipeline.work_dir, rows)
        try:
            write_page(self.pipeline, rows)
        # Hours of training do not depend on pictures.
        except (OSError, ValueError) as error:
            print(f'no page: {error}', flush=True)
        return table
