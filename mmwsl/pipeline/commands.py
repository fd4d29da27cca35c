"""The command line of a stage."""

import os
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from mmengine.config import DictAction

from mmwsl.pipeline.records import finished_record
from mmwsl.pipeline.references import expand
from mmwsl.pipeline.stages import Pipeline, Stage

EVALUATION = 'evaluation.json'


def find_checkpoint(folder: str) -> Optional[str]:
    """The final checkpoint of a training, or None.

    It is found by its name if the folder was moved.
    """
    note = Path(folder, 'last_checkpoint')
    if not note.is_file():
        return None
    named = Path(note.read_text(errors='replace').strip())
    for path in (Path(folder, named.name), named):
        if path.is_file():
            return str(path)
    return None


def fill_in(
    pipeline: Pipeline, value: Any, own: str = '', strict: bool = True
) -> Any:
    """Replace the references to folders and checkpoints.

    Args:
        pipeline: The pipeline.
        value: A text, or dicts and lists with texts.
        own: Name of the stage that ``{dir}`` belongs to.
        strict: Whether a missing checkpoint is an error; otherwise it stays
            a reference.

    Raises:
        FileNotFoundError: If a checkpoint is missing.
    """

    def lookup(reference: str) -> Any:
        if reference == 'dir':
            return pipeline.folder(own)
        name, _, field = reference.partition('.')
        folder = pipeline.folder(name)
        if field == 'dir':
            return folder
        found = find_checkpoint(folder)
        if found is None and strict:
            advice = 'run that stage first'
            if finished_record(pipeline, name) is not None:
                advice = 'remove this folder to run that stage again'
            raise FileNotFoundError(
                f'stage {own!r} needs the checkpoint of {name!r}, and there '
                f'is none in {folder}; {advice}'
            )
        return found or f'{{{reference}}}'

    return expand(value, lookup)


def stage_command(
    pipeline: Pipeline, stage: Stage, strict: bool = True
) -> List[str]:
    """The command that runs a stage; arguments as in :func:`fill_in`."""
    what = fill_in(pipeline, stage.what, stage.name, strict)
    extra = [str(arg) for arg in what.get('args', [])]
    if stage.kind == 'tool':
        return [sys.executable, stage.program, *extra]
    tool = os.path.join(pipeline.tools, f'{stage.kind}.py')
    line = [sys.executable, tool, stage.program]
    if stage.kind == 'test':
        line.append(what['checkpoint'])
        if what.get('show_dir'):
            line += ['--show-dir', what['show_dir']]
    else:
        # Without a checkpoint the run begins.
        line.append('--resume')
    line += ['--work-dir', pipeline.folder(stage.name), *extra]
    options = _flatten(what.get('cfg_options') or {})
    if options:
        place = f'{pipeline.path}: stage {stage.name!r}'
        line.append('--cfg-options')
        line += [_option(place, key, value) for key, value in options]
    return line


def evaluation_command(pipeline: Pipeline, stage: Stage) -> List[str]:
    """The command that scores the label maps of a stage."""
    what = fill_in(pipeline, stage.what['evaluate'], stage.name)
    tool = os.path.join(pipeline.tools, 'analysis_tools', 'eval_seeds.py')
    out = os.path.join(pipeline.folder(stage.name), EVALUATION)
    labels, masks = what.pop('labels'), what.pop('masks')
    line = [sys.executable, tool, labels, masks]
    if 'split' in what:
        root = os.path.dirname(os.path.normpath(masks))
        split = f'{what.pop("split")}.txt'
        what['list'] = os.path.join(root, 'ImageSets', 'Segmentation', split)
    for key, value in what.items():
        line += [f'--{key.replace("_", "-")}', str(value)]
    return [*line, '--out', out]


def _flatten(
    options: Dict[str, Any], prefix: str = ''
) -> List[Tuple[str, Any]]:
    """Nested settings as dotted keys."""
    flat: List[Tuple[str, Any]] = []
    for key, value in options.items():
        if isinstance(value, dict) and value:
            flat += _flatten(value, f'{prefix}{key}.')
        else:
            flat.append((f'{prefix}{key}', value))
    return flat


def _option(place: str, key: str, value: Any) -> str:
    """One ``key=value`` that mmengine reads back as it was."""
    text = _write(value)
    try:
        back = DictAction._parse_iterable(text)
    except AssertionError:
        back = None
    if isinstance(back, tuple):
        back = list(back)
    if back != value or isinstance(back, bool) != isinstance(value, bool):
        raise ValueError(
            f'{place}: {key}={value!r} cannot be written on a command line '
            '(mmengine takes no spaces, quotes and commas there); set it in '
            'a config file'
        )
    return f'{key}={text}'


def _write(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f'[{",".join(_write(part) for part in value)}]'
    return str(value)
