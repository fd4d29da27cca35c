"""What a pipeline file says, checked."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Set, Union

import mmwsl
from mmwsl.apis import load_config
from mmwsl.pipeline.references import expand
from mmwsl.pipeline.variables import SECTIONS, read_variables, set_options

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
# Not free as names of stages; 'pictures' is a folder of the page.
_TAKEN = (*SECTIONS, 'dir', 'pictures')


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
    set_options(path, content, options or {})
    variables = read_variables(path, content)
    tools = tools or str(Path(mmwsl.__file__).parent / '.mim' / 'tools')
    work_dir = work_dir or os.path.join('work_dirs', Path(path).stem)
    checked: List[Stage] = []
    for what in stages:
        defaults = content.get('evaluate') or {}
        what = _with_evaluation(path, what, defaults)
        checked.append(_read_stage(path, what, variables, checked, tools))
    page = _expand_page(path, content.get('page') or {}, variables, checked)
    folder = os.path.abspath(work_dir)
    return Pipeline(path, folder, _needed(checked), page, tools)


def _needed(stages: List[Stage]) -> List[Stage]:
    """Leave out the optional stages that no other stage takes from."""
    kept: List[Stage] = []
    used: Set[str] = set()
    for stage in reversed(stages):
        if stage.name in used or not stage.what.get('optional'):
            kept.insert(0, stage)
            used.update(stage.uses)
    return kept


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
    if kind not in _NEEDED:
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


def _with_evaluation(
    path: str, what: Dict[str, Any], defaults: Dict[str, Any]
) -> Dict[str, Any]:
    """Complete what a stage says of its evaluation."""
    given = what.get('evaluate')
    if given is None:
        return what
    if isinstance(given, str):
        given = dict(labels=given)
    given = {**defaults, **given}
    missing = sorted({'labels', 'masks', 'classes'} - set(given))
    if missing:
        raise ValueError(
            f'{path}: stage {what["name"]!r}: evaluate has no {missing[0]!r}'
        )
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

    def lookup(reference: str) -> Any:
        if reference in variables:
            # It may hold references to stages.
            return expand(variables[reference], lookup)
        head, _, field = reference.partition('.')
        if field:
            _check_reference(place, head, field, earlier)
            if head not in uses:
                uses.append(head)
        elif reference != 'dir':
            raise ValueError(
                f'{place}: {{{reference}}} is no variable of the file'
            )
        return f'{{{reference}}}'

    what = expand(what, lookup)
    if kind == 'tool':
        program = os.path.join(tools, what['tool'])
        if not os.path.isfile(program):
            raise FileNotFoundError(f'{place}: {program}: no such tool')
    else:
        program = what['config']
        if '::' not in program:
            program = os.path.join(os.path.dirname(path), program)
            if not os.path.isfile(program):
                raise FileNotFoundError(f'{place}: {program}: no such config')
    return Stage(name, kind, what, program, uses)


def _check_reference(
    place: str, head: str, field: str, earlier: List[Stage]
) -> None:
    """Check '{head.field}'."""
    stage = {stage.name: stage for stage in earlier}.get(head)
    if stage is None:
        raise ValueError(
            f'{place}: {{{head}.{field}}}: no stage before it is named '
            f'{head!r}'
        )
    if field not in ('dir', 'checkpoint'):
        raise ValueError(
            f'{place}: {{{head}.{field}}}: a stage has dir and checkpoint '
            'alone'
        )
    if field == 'checkpoint' and stage.kind != 'train':
        raise ValueError(
            f'{place}: {{{head}.checkpoint}}: only a train stage has one'
        )


def _expand_page(
    path: str,
    page: Dict[str, Any],
    variables: Dict[str, Any],
    stages: List[Stage],
) -> Dict[str, Any]:
    """The same for the page, which may use the folders of all stages."""

    def lookup(reference: str) -> Any:
        if reference in variables:
            return expand(variables[reference], lookup)
        head, _, field = reference.partition('.')
        if field != 'dir' or head not in [stage.name for stage in stages]:
            raise ValueError(
                f'{path}: page: {{{reference}}} is no variable and no folder '
                'of a stage'
            )
        return f'{{{reference}}}'

    if 'classes' in variables:
        page = {'classes': '{classes}', **page}
    if 'data_root' in variables:
        root = '{data_root}'
        page = {
            'image_dir': f'{root}/JPEGImages',
            'mask_dir': f'{root}/SegmentationClass',
            **page,
        }
    return expand(page, lookup)
