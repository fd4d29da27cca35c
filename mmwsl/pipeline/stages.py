"""What a pipeline file says: stages, what they refer to, their commands."""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Union

from mmengine.config import DictAction

import mmwsl
from mmwsl.utils.config import load_config

EVALUATION = 'evaluation.json'
# '{name}' or '{stage.what}'; other braces are left as they are.
_REFERENCE = re.compile(r'\{([A-Za-z_][\w-]*(?:\.[\w-]*)?)\}')
_SECTIONS = ('stages', 'page', 'evaluate')
# Not free as names of stages; 'pictures' is a folder of the page.
_TAKEN = (*_SECTIONS, 'dir', 'pictures')
# What each kind of stage needs, and what it may say besides.
_NEEDED: Dict[str, Set[str]] = {
    'train': {'config'},
    'test': {'config', 'checkpoint'},
    'tool': {'tool'},
}
_ALLOWED: Dict[str, Set[str]] = {
    'train': {'cfg_options', 'args'},
    'test': {'cfg_options', 'args', 'show_dir'},
    'tool': {'args'},
}
_COMMON = {'name', 'run', 'pictures', 'evaluate', 'optional'}


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: Its name and that of its folder.
        kind: 'train', 'test' or 'tool'.
        what: What the file says of it. Variables are replaced by their
            values, references to folders and checkpoints are not.
        program: Path of its config or of its tool.
        uses: The earlier stages that it refers to.
    """

    name: str
    kind: str
    what: Dict[str, Any]
    program: str
    uses: List[str]


@dataclass(frozen=True)
class Pipeline:
    """A method from its first stage to its last.

    Attributes:
        path: The pipeline file.
        work_dir: Absolute path of the folder of all stages.
        stages: In running order.
        page: What the page shows, see docs/pipeline.md.
        tools: The folder of the commands.
    """

    path: str
    work_dir: str
    stages: List[Stage]
    page: Dict[str, Any]
    tools: str

    def folder(self, name: str) -> str:
        """The folder of a stage."""
        return os.path.join(self.work_dir, name)

    def index(self, name: str, option: str) -> int:
        """Position of a stage that the command line names."""
        names = [stage.name for stage in self.stages]
        if name not in names:
            raise ValueError(
                f'{option} {name}: {self.path} has no such stage, only '
                f'{", ".join(names)}'
            )
        return names.index(name)


def expand(value: Any, lookup: Callable[[str], Any]) -> Any:
    """Replace the references in a text, or in all that a value holds.

    A text that is one reference becomes its value, of whatever type; inside a
    longer text it is written as text.
    """
    if isinstance(value, dict):
        return {key: expand(part, lookup) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [expand(part, lookup) for part in value]
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole:
        return lookup(whole.group(1))
    return _REFERENCE.sub(lambda match: str(lookup(match.group(1))), value)


def read_pipeline(
    path: Union[str, Path],
    options: Optional[Dict[str, Any]] = None,
    work_dir: Optional[str] = None,
    tools: Optional[str] = None,
) -> Pipeline:
    """Read and check a pipeline file.

    Args:
        path: The file, or ``package::file``.
        options: Values of variables, of ``page.KEY`` and, as ``STAGE.KEY``,
            of what a stage changes in its config.
        work_dir: Folder of all stages; by default work_dirs/NAME.
        tools: Folder of the commands; by default the package's.

    Raises:
        FileNotFoundError: If the file, a config or a tool is missing.
        ValueError: If the file says something that cannot be run.
    """
    cfg = load_config(path)
    path = str(cfg.filename)
    content = cfg.to_dict()
    stages = content.get('stages')
    if not isinstance(stages, list) or not stages:
        raise ValueError(f'{path}: "stages" is not a list of stages')
    for position, what in enumerate(stages):
        _check_keys(path, position, what, stages[:position])
    for key in ('page', 'evaluate'):
        content[key] = content.get(key) or {}
        if not isinstance(content[key], dict):
            raise ValueError(f'{path}: {key!r} is not a dict')
    _set_options(path, content, options or {})
    variables = _read_variables(path, content)
    tools = tools or str(Path(mmwsl.__file__).parent / '.mim' / 'tools')
    work_dir = work_dir or os.path.join('work_dirs', Path(path).stem)
    read: List[Stage] = []
    for what in stages:
        what = _with_evaluation(path, what, content['evaluate'])
        read.append(_read_stage(path, what, variables, read, tools))
    page = dict(content['page'])
    if 'classes' in variables:
        page.setdefault('classes', '{classes}')
    if 'data_root' in variables:
        page.setdefault('image_dir', '{data_root}/JPEGImages')
        page.setdefault('mask_dir', '{data_root}/SegmentationClass')
    page = _resolve(f'{path}: page', page, variables, read, [])
    # Optional stages that no other stage takes from are left out.
    kept: List[Stage] = []
    used: Set[str] = set()
    for stage in reversed(read):
        if stage.name in used or not stage.what.get('optional'):
            kept.insert(0, stage)
            used.update(stage.uses)
    return Pipeline(path, os.path.abspath(work_dir), kept, page, tools)


def _check_keys(
    path: str, position: int, what: Any, earlier: List[Dict[str, Any]]
) -> None:
    """Check which keys a stage has."""
    place = f'{path}: stage {position + 1}'
    if not isinstance(what, dict) or not isinstance(what.get('name'), str):
        raise ValueError(f'{place} has no name')
    name, kind = what['name'], what.get('run')
    place = f'{path}: stage {name!r}'
    if not re.fullmatch(r'[A-Za-z_][\w-]*', name) or name in _TAKEN:
        raise ValueError(f'{place}: this cannot be the name of a stage')
    if name in [stage['name'] for stage in earlier]:
        raise ValueError(f'{place} occurs twice')
    if not isinstance(kind, str) or kind not in _NEEDED:
        raise ValueError(
            f'{place}: run must be one of {", ".join(_NEEDED)}, got {kind!r}'
        )
    missing = sorted(_NEEDED[kind] - set(what))
    if missing:
        raise ValueError(f'{place}: {missing[0]!r} is missing')
    unknown = set(what) - _NEEDED[kind] - _ALLOWED[kind] - _COMMON
    if unknown:
        raise ValueError(
            f'{place}: a {kind} stage has no {sorted(unknown)[0]!r}'
        )
    kinds = dict(args=list, cfg_options=dict, show_dir=str, checkpoint=str)
    for key, expected in dict(kinds, config=str, tool=str).items():
        if not isinstance(what.get(key, expected()), expected):
            raise ValueError(
                f'{place}: {key} is {what[key]!r}, not a {expected.__name__}'
            )


def _set_options(
    path: str, content: Dict[str, Any], options: Dict[str, Any]
) -> None:
    """Apply what the command line changes, in place."""
    stages = {stage['name']: stage for stage in content['stages']}
    text = str(content)
    for key, value in options.items():
        head, _, rest = key.partition('.')
        if rest and head in stages:
            if stages[head]['run'] == 'tool':
                raise ValueError(
                    f'{key}: stage {head!r} of {path} runs a tool, which has '
                    'no config'
                )
            stages[head].setdefault('cfg_options', {})[rest] = value
        elif rest and head in ('page', 'evaluate'):
            content[head][rest] = value
        elif f'{{{key}}}' in text:
            content[key] = value
        else:
            known = [x for x in content if f'{{{x}}}' in text]
            raise ValueError(
                f'{key}: no stage of {path} has this name and none uses '
                f'{{{key}}}; its variables are {", ".join(known) or "none"}'
            )


def _read_variables(path: str, content: Dict[str, Any]) -> Dict[str, Any]:
    """The variables; each may use those above it, and folders of stages."""
    variables: Dict[str, Any] = {}

    def lookup(name: str) -> Any:
        if '.' in name:
            return f'{{{name}}}'
        if name not in variables:
            raise ValueError(f'{path}: {{{name}}} is not known at this point')
        return variables[name]

    for key, value in content.items():
        if key in _SECTIONS:
            continue
        if isinstance(value, (list, tuple)):
            # The command line reads a,b,c as a list. Lists with references
            # are arguments of stages, which resolve them.
            plain = all(
                isinstance(x, (str, int, float)) and '{' not in str(x)
                for x in value
            )
            value = ','.join(map(str, value)) if plain else None
        if isinstance(value, (str, int, float)):
            variables[key] = expand(value, lookup)
    return variables


def _with_evaluation(
    path: str, what: Dict[str, Any], defaults: Dict[str, Any]
) -> Dict[str, Any]:
    """Complete what a stage says of its evaluation."""
    given = what.get('evaluate')
    if given is None:
        return what
    place = f'{path}: stage {what["name"]!r}: evaluate'
    if isinstance(given, str):
        given = dict(labels=given)
    if not isinstance(given, dict):
        raise ValueError(f'{place} is {given!r}, not a folder or a dict')
    given = {**defaults, **given}
    missing = sorted({'labels', 'masks', 'classes'} - set(given))
    if missing:
        raise ValueError(f'{place} has no {missing[0]!r}')
    return {**what, 'evaluate': given}


def _read_stage(
    path: str,
    what: Dict[str, Any],
    variables: Dict[str, Any],
    earlier: List[Stage],
    tools: str,
) -> Stage:
    """Replace the variables of a stage and check its references."""
    name, kind = what['name'], what['run']
    place = f'{path}: stage {name!r}'
    uses: List[str] = []
    what = _resolve(place, what, variables, earlier, uses)
    program = str(what['tool' if kind == 'tool' else 'config'])
    if kind == 'tool' or '::' not in program:
        root = tools if kind == 'tool' else os.path.dirname(path)
        program = os.path.join(root, program)
        if not os.path.isfile(program):
            what_is = 'tool' if kind == 'tool' else 'config'
            raise FileNotFoundError(f'{place}: {program}: no such {what_is}')
    return Stage(name, kind, what, program, uses)


def _resolve(
    place: str,
    value: Any,
    variables: Dict[str, Any],
    earlier: Sequence[Stage],
    uses: List[str],
) -> Any:
    """Replace variables, check references to stages and note their names."""
    stages = {stage.name: stage for stage in earlier}

    def lookup(reference: str) -> Any:
        if reference in variables:
            # It may hold references to stages.
            return expand(variables[reference], lookup)
        head, _, field = reference.partition('.')
        here = f'{place}: {{{reference}}}'
        if not field and reference != 'dir':
            raise ValueError(f'{here} is no variable of the file')
        if field:
            if head not in stages:
                raise ValueError(
                    f'{here}: no stage before it is named {head!r}'
                )
            if field not in ('dir', 'checkpoint'):
                raise ValueError(
                    f'{here}: a stage has dir and checkpoint alone'
                )
            if field == 'checkpoint' and stages[head].kind != 'train':
                raise ValueError(f'{here}: only a train stage has one')
            if head not in uses:
                uses.append(head)
        return f'{{{reference}}}'

    return expand(value, lookup)


def find_checkpoint(folder: str) -> Optional[str]:
    """The final checkpoint of a training, also in a moved folder, or None."""
    note = Path(folder, 'last_checkpoint')
    if not note.is_file():
        return None
    named = Path(note.read_text(encoding='utf-8', errors='replace').strip())
    for path in (Path(folder, named.name), named):
        if path.is_file():
            return str(path)
    return None


def fill_in(
    pipeline: Pipeline, value: Any, own: str = '', strict: bool = True
) -> Any:
    """Replace references to folders and checkpoints; ``{dir}`` is ``own``'s.

    Raises:
        FileNotFoundError: If a checkpoint is missing; unless ``strict``, it
            stays a reference.
    """

    def lookup(reference: str) -> Any:
        name, _, field = reference.partition('.')
        folder = pipeline.folder(name if field else own)
        if field != 'checkpoint':
            return folder
        found = find_checkpoint(folder)
        if found is None and strict:
            advice = 'run that stage first'
            if os.path.isfile(os.path.join(folder, 'stage.json')):
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
    options = _options(
        f'{pipeline.path}: stage {stage.name!r}', what.get('cfg_options', {})
    )
    return [*line, *(['--cfg-options', *options] if options else [])]


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


def _options(
    place: str, options: Dict[str, Any], prefix: str = ''
) -> List[str]:
    """Nested settings as ``dotted.key=value`` that mmengine reads back."""
    found = []
    for key, value in options.items():
        if isinstance(value, dict) and value:
            found += _options(place, value, f'{prefix}{key}.')
            continue
        text = _write(value)
        try:
            back = DictAction._parse_iterable(text)
        except AssertionError:
            back = None
        if isinstance(back, tuple):
            back = list(back)
        if back != value or isinstance(back, bool) != isinstance(value, bool):
            raise ValueError(
                f'{place}: {prefix}{key}={value!r} cannot be written on a '
                'command line (mmengine takes no spaces, quotes and commas '
                'there); set it in a config file'
            )
        found.append(f'{prefix}{key}={text}')
    return found


def _write(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f'[{",".join(_write(part) for part in value)}]'
    return str(value)
