"""What a pipeline file says: stages, what they refer to, their commands."""

import os
import re
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Set, Tuple, Union

import mmwsl
from mmwsl.utils.config import load_config, read_value
from mmwsl.utils.files import read_json

EVALUATION = 'evaluation.json'
# What a tool has found, for later stages.
VALUES = 'values.json'
# What an installed package carries beside its modules.
_PACKAGED = Path(mmwsl.__file__).parent / '.mim'
# '{name}' or '{stage.what}'; other braces are left as they are.
_REFERENCE = re.compile(r'\{([A-Za-z_][\w-]*(?:\.[\w-]*)?)\}')
_SECTIONS = ('stages', 'page', 'evaluate')
# Not free as names of stages; 'pictures' is a folder of the page.
_TAKEN = (*_SECTIONS, 'dir', 'pictures')
# What each kind of stage needs, and what it may say besides.
_TEST = ({'config', 'checkpoint'}, {'cfg_options', 'args', 'show_dir'})
_KEYS: Dict[str, Tuple[Set[str], Set[str]]] = {
    'train': ({'config'}, {'cfg_options', 'args'}),
    'test': _TEST,
    'predict': _TEST,
    'tool': ({'tool'}, {'args'}),
}
_COMMON = {'name', 'run', 'pictures', 'evaluate', 'optional'}
_TEXTS = ('show_dir', 'checkpoint', 'config', 'tool')


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: Its name and that of its folder.
        kind: 'train', 'test', 'predict' or 'tool'.
        what: What the file says of it. Variables are replaced by their
            values, references to earlier stages are not.
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

    A text that is one reference becomes its value, of whatever type; as an
    item of a list, the items of a list. Inside a longer text it is written
    as text.
    """
    if isinstance(value, dict):
        return {key: expand(part, lookup) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        found: List[Any] = []
        for part in value:
            new = expand(part, lookup)
            spread = isinstance(part, str) and isinstance(new, list)
            found += new if spread else [new]
        return found
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole:
        return lookup(whole.group(1))
    return _REFERENCE.sub(lambda match: _text(lookup(match.group(1))), value)


def _text(value: Any) -> str:
    """Write a value into a longer text; a list as ``a,b,c``."""
    return ','.join(map(str, value)) if isinstance(value, list) else str(value)


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
    content['stages'] = _named_stages(path, content.get('stages'))
    for key in ('page', 'evaluate'):
        content[key] = content.get(key) or {}
        if not isinstance(content[key], dict):
            raise ValueError(f'{path}: {key!r} is not a dict')
    _set_options(path, content, options or {})
    variables = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in content.items()
        if key not in _SECTIONS
        and isinstance(value, (str, int, float, list, tuple, dict))
    }
    tools = tools or str(_PACKAGED / 'tools')
    read: Dict[str, Stage] = {}
    for name, what in content['stages'].items():
        uses: List[str] = []
        place = f'{path}: stage {name!r}'
        what = _with_evaluation(place, what, content['evaluate'])
        what = _resolve(place, what, variables, read, uses)
        _merge_options(place, what)
        program = _program(path, place, what, tools)
        read[name] = Stage(name, what['run'], what, program, uses)
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
    for stage in reversed(list(read.values())):
        if stage.name in used or not stage.what.get('optional'):
            kept.insert(0, stage)
            used.update(stage.uses)
    work_dir = work_dir or os.path.join('work_dirs', Path(path).stem)
    return Pipeline(path, os.path.abspath(work_dir), kept, page, tools)


def _named_stages(path: str, stages: Any) -> Dict[str, Dict[str, Any]]:
    """The stages by their names, without those that are None."""
    if isinstance(stages, dict):
        stages = [
            {**what, 'name': name} if isinstance(what, dict) else what
            for name, what in stages.items()
            if what is not None
        ]
    if not isinstance(stages, list) or not stages:
        raise ValueError(f'{path}: "stages" is not a list or a dict of stages')
    named: Dict[str, Dict[str, Any]] = {}
    for number, what in enumerate(stages, 1):
        if not isinstance(what, dict) or not isinstance(what.get('name'), str):
            raise ValueError(f'{path}: stage {number} has no name')
        name = what['name']
        place = f'{path}: stage {name!r}'
        if not re.fullmatch(r'[A-Za-z_][\w-]*', name) or name in _TAKEN:
            raise ValueError(f'{place}: this cannot be the name of a stage')
        if name in named:
            raise ValueError(f'{place} occurs twice')
        _check_keys(place, what)
        named[name] = what
    return named


def _check_keys(place: str, what: Dict[str, Any]) -> None:
    """Check what a stage says."""
    kind = what.get('run')
    if not isinstance(kind, str) or kind not in _KEYS:
        raise ValueError(
            f'{place}: run must be one of {", ".join(_KEYS)}, got {kind!r}'
        )
    needed, allowed = _KEYS[kind]
    missing = sorted(needed - set(what))
    if missing:
        raise ValueError(f'{place}: {missing[0]!r} is missing')
    unknown = sorted(set(what) - needed - allowed - _COMMON)
    if unknown:
        raise ValueError(f'{place}: a {kind} stage has no {unknown[0]!r}')
    for key in ('args', *_TEXTS):
        kind = str if key in _TEXTS else list
        if not isinstance(what.get(key, kind()), kind):
            raise ValueError(
                f'{place}: {key} is {what[key]!r}, not a {kind.__name__}'
            )


def _set_options(
    path: str, content: Dict[str, Any], options: Dict[str, Any]
) -> None:
    """Apply what the command line changes, in place."""
    stages = content['stages']
    text = str(content)
    for key, value in options.items():
        head, _, rest = key.partition('.')
        if rest and head in stages:
            if stages[head]['run'] == 'tool':
                raise ValueError(
                    f'{key}: stage {head!r} of {path} runs a tool, which has '
                    'no config'
                )
            given = stages[head].get('cfg_options', [])
            given = given if isinstance(given, list) else [given]
            stages[head]['cfg_options'] = [*given, {rest: value}]
        elif rest and head in ('page', 'evaluate'):
            content[head][rest] = value
        elif f'{{{key}}}' in text:
            # It reads a,b,c as a list.
            if isinstance(content.get(key), str) and isinstance(value, list):
                value = _text(value)
            content[key] = value
        else:
            known = [x for x in content if f'{{{x}}}' in text]
            names = [*known, *stages]
            alike = ' or '.join(get_close_matches(head, names, 2))
            raise ValueError(
                f'{key}: no stage of {path} has this name and none uses '
                f'{{{key}}}'
                + (f'; is {alike} meant?' if alike else '.')
                + f' Its stages are {", ".join(stages)}; its variables are '
                f'{", ".join(known) or "none"}'
            )


def _with_evaluation(
    place: str, what: Dict[str, Any], defaults: Dict[str, Any]
) -> Dict[str, Any]:
    """Complete what a stage says of its evaluation."""
    given = what.get('evaluate')
    if given is None:
        return what
    if isinstance(given, str):
        given = dict(labels=given)
    if not isinstance(given, dict):
        raise ValueError(
            f'{place}: evaluate is {given!r}, not a folder or a dict'
        )
    given = {**defaults, **given}
    missing = sorted({'labels', 'masks', 'classes'} - set(given))
    if missing:
        raise ValueError(f'{place}: evaluate has no {missing[0]!r}')
    return {**what, 'evaluate': given}


def _resolve(
    place: str,
    value: Any,
    variables: Dict[str, Any],
    stages: Dict[str, Stage],
    uses: List[str],
) -> Any:
    """Replace variables, check references to stages and note their names."""

    def lookup(reference: str) -> Any:
        if reference in variables:
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
            kind = stages[head].kind
            if field == 'checkpoint' and kind != 'train':
                raise ValueError(f'{here}: only a train stage has one')
            if field not in ('dir', 'checkpoint') and kind != 'tool':
                raise ValueError(
                    f'{here}: a {kind} stage has dir'
                    f'{" and checkpoint" if kind == "train" else ""} alone'
                )
            if head not in uses:
                uses.append(head)
        return f'{{{reference}}}'

    try:
        return expand(value, lookup)
    except RecursionError as error:
        raise ValueError(
            f'{place}: a variable of the file refers to itself'
        ) from error


def _merge_options(place: str, what: Dict[str, Any]) -> None:
    """Make one dict of what a stage changes in its config, in place."""
    given = what.get('cfg_options', [])
    merged: Dict[str, Any] = {}
    if what['run'] == 'predict':
        merged['predict.out_dir'] = '{dir}'
    for part in given if isinstance(given, list) else [given]:
        if not isinstance(part, dict):
            raise ValueError(f'{place}: cfg_options is {part!r}, not a dict')
        merged.update(part)
    if merged:
        what['cfg_options'] = merged


def _program(path: str, place: str, what: Dict[str, Any], tools: str) -> str:
    """Path of the config or the tool of a stage."""
    kind = 'tool' if what['run'] == 'tool' else 'config'
    name = what[kind]
    if kind == 'config' and '::' in name:
        return name
    folder = Path(path).parent
    roots = [folder, folder.parent, _PACKAGED / 'configs']
    found = [
        os.path.join(root, name)
        for root in ([tools] if kind == 'tool' else roots)
    ]
    for program in found:
        if os.path.isfile(program):
            return program
    raise FileNotFoundError(f'{place}: {found[0]}: no such {kind}')


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


def read_object(path: str) -> Dict[str, Any]:
    """Read a JSON object."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f'{path}: does not hold a JSON object')
    return content


def fill_in(
    pipeline: Pipeline, value: Any, own: str = '', strict: bool = True
) -> Any:
    """Replace references to stages; ``{dir}`` is the folder of ``own``.

    Raises:
        FileNotFoundError: If a checkpoint is missing; unless ``strict``, it
            stays a reference.
        ValueError: If a stage has not found a value; likewise.
    """

    def lookup(reference: str) -> Any:
        name, _, field = reference.partition('.')
        folder = pipeline.folder(name if field else own)
        if field in ('', 'dir'):
            return folder
        if field == 'checkpoint':
            found = find_checkpoint(folder)
        else:
            path = os.path.join(folder, VALUES)
            content = read_object(path) if os.path.isfile(path) else {}
            found = content.get(field)
        if found is not None or not strict:
            return f'{{{reference}}}' if found is None else found
        if field != 'checkpoint':
            raise ValueError(f'stage {own!r}: {path} has no {field!r}')
        advice = 'run that stage first'
        if os.path.isfile(os.path.join(folder, 'stage.json')):
            advice = 'remove this folder to run that stage again'
        raise FileNotFoundError(
            f'stage {own!r} needs the checkpoint of {name!r}, and there '
            f'is none in {folder}; {advice}'
        )

    return expand(value, lookup)


def stage_command(
    pipeline: Pipeline, stage: Stage, strict: bool = True
) -> List[str]:
    """The command that runs a stage; arguments as in :func:`fill_in`."""
    what = fill_in(pipeline, stage.what, stage.name, strict)
    extra = [str(arg) for arg in what.get('args', [])]
    if stage.kind == 'tool':
        return [sys.executable, stage.program, *extra]
    training = stage.kind == 'train'
    tool = os.path.join(pipeline.tools, 'train.py' if training else 'test.py')
    line = [sys.executable, tool, stage.program]
    if not training:
        line.append(what['checkpoint'])
        if what.get('show_dir'):
            line += ['--show-dir', what['show_dir']]
    else:
        # Without a checkpoint the run begins.
        line.append('--resume')
    line += ['--work-dir', pipeline.folder(stage.name), *extra]
    place = f'{pipeline.path}: stage {stage.name!r}'
    options = _options(place, what.get('cfg_options', {}))
    return [*line, *(['--cfg-options', *options] if options else [])]


def evaluation_command(pipeline: Pipeline, stage: Stage) -> List[str]:
    """The command that scores the label maps of a stage; empty for none."""
    what = fill_in(pipeline, stage.what.get('evaluate'), stage.name)
    if not what:
        return []
    if what.pop('optional', False):
        listed = Path(what.get('list', ''))
        empty = listed.is_file() and not listed.stat().st_size
        if empty or not os.path.isdir(what['masks']):
            return []
    tool = os.path.join(pipeline.tools, 'analysis_tools', 'eval_seeds.py')
    out = os.path.join(pipeline.folder(stage.name), EVALUATION)
    labels, masks = what.pop('labels'), what.pop('masks')
    line = [sys.executable, tool, labels, masks]
    if 'split' in what:
        root = os.path.dirname(os.path.normpath(masks))
        split = f'{what.pop("split")}.txt'
        what['list'] = os.path.join(root, 'ImageSets', 'Segmentation', split)
    for key, value in what.items():
        line += [f'--{key.replace("_", "-")}', _text(value)]
    return [*line, '--out', out]


def _options(
    place: str, options: Dict[str, Any], prefix: str = ''
) -> List[str]:
    """Nested settings as ``dotted.key=value`` that commands read back."""
    found = []
    for key, value in options.items():
        if isinstance(value, dict) and value:
            found += _options(place, value, f'{prefix}{key}.')
            continue
        text = _write(value)
        if not _reads_back(text, value):
            text = f'"{text}"'
        if not _reads_back(text, value):
            raise ValueError(
                f'{place}: {prefix}{key}={value!r} cannot be written on a '
                'command line; set it in a config file'
            )
        found.append(f'{prefix}{key}={text}')
    return found


def _reads_back(text: str, value: Any) -> bool:
    try:
        back = read_value(text)
    except ValueError:
        return False
    if isinstance(back, tuple):
        back = list(back)
    return back == value and isinstance(back, bool) == isinstance(value, bool)


def _write(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f'[{",".join(_write(part) for part in value)}]'
    return str(value)
