"""What the documentation shows works and what it links to exists."""

import json
import re
import shlex
from functools import lru_cache
from pathlib import Path
from typing import List, Set

import pytest

from mmwsl.apis import load_config
from mmwsl.pipeline import read_pipeline
from tool_calls import ROOT, load_tool

LINK = re.compile(r'\]\(([^)\s]+)\)')
FENCE = re.compile(r'^```(\w*).*?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
HEADING = re.compile(r'^#+ +(.+)$', re.MULTILINE)
# Before each block of commands: the tests that run them with other files, or
# what they need that the tests have not.
MARK = re.compile(r'<!-- (needs|tested): (.+) -->')
STARTS = ('README.md', 'docs/index.md')
# What a newcomer looks for.
WANTED = ('own_data', 'backbones', 'export', 'troubleshooting')

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ('*.md', 'llms.txt', 'docs/**/*.md', 'configs/*/README.md')
    for path in ROOT.glob(pattern)
    if '_build' not in path.parts
)
NOTEBOOKS = sorted(ROOT.glob('docs/notebooks/*.ipynb'))


def read(page: Path) -> str:
    return page.read_text(encoding='utf-8')


@lru_cache(maxsize=None)
def anchors(page: Path) -> Set[str]:
    """The names that GitHub gives the headings of a page."""
    found: List[str] = []
    for heading in HEADING.findall(FENCE.sub('', read(page))):
        text = re.sub(r'\[(.*?)\]\(.*?\)', r'\1', heading)
        name = re.sub(r'[^\w\- ]', '', text.lower()).replace(' ', '-')
        number = found.count(name)
        found.append(f'{name}-{number}' if number else name)
    return set(found)


def links(page: Path) -> List[str]:
    """The links of a page that lead to files."""
    found = LINK.findall(FENCE.sub('', read(page)))
    return [link for link in found if not re.match(r'[a-z]+:', link)]


def words_of(block: str) -> List[List[str]]:
    """The commands of a block, as a shell parts them into words."""
    lines = block.replace('\\\n', ' ').splitlines()
    return [shlex.split(line, comments=True) for line in lines]


def check_command(words: List[str], place: str) -> None:
    """Check that a command of the documentation could be run.

    What a command does with the files of its user is left to the tests of
    the tools; names in capitals and below ``work_dirs`` stand for these.
    """
    for word in words:
        if re.match(r'(configs|scripts|tools)/', word):
            assert (ROOT / word).exists(), f'{place}: there is no {word}'
    if words[:1] != ['python'] or not words[1].startswith('tools/'):
        return
    parser = load_tool(words[1][len('tools/') :]).parser
    try:
        args = parser.parse_args(words[2:])
    except SystemExit:
        pytest.fail(f'{place}: refused, as said below: {shlex.join(words)}')
    config = ROOT / (getattr(args, 'config', None) or 'none')
    if config.is_file():
        options = getattr(args, 'cfg_options', None) or {}
        # Options at whose top the config knows nothing are errors.
        if config.name.startswith('pipeline_'):
            read_pipeline(config, options)
            return
        load_config(config, options)
        cfg = load_config(config)
        for key in options:
            top, *inner = key.split('.')[:2]
            known = not inner or inner[0] in cfg[top] or inner[0].isdigit()
            assert known, f'{place}: {config} has no {top}.{inner[0]}'


@pytest.mark.parametrize('name', PAGES)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for link in links(page):
        path, _, anchor = link.partition('#')
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f'{name}: {link}: there is no such file'
        if anchor:
            known = ', '.join(sorted(anchors(target)))
            assert anchor in anchors(target), f'{name}: {link}: has {known}'


def test_pages_are_found() -> None:
    assert {'README.md', 'docs/install.md', 'configs/cam/README.md'} < set(
        PAGES
    )
    assert anchors(ROOT / 'docs/wsol.md') >= {'own-data', 'without-any-box'}


@pytest.mark.parametrize('start', STARTS)
def test_two_clicks_lead_to_what_newcomers_look_for(start: str) -> None:
    reached = {ROOT / start}
    for _ in range(2):
        for page in [page for page in reached if page.suffix == '.md']:
            targets = [page.parent / x.split('#')[0] for x in links(page)]
            reached |= {x.resolve() for x in targets if x.is_file()}
    missing = {ROOT / f'docs/{name}.md' for name in WANTED} - reached
    assert not missing


def test_llms_txt_lists_the_pages() -> None:
    pages = {name for name in PAGES if re.match(r'docs/|configs/', name)}
    pages = {name for name in pages if '/notes/' not in name}
    assert pages - {'docs/index.md'} <= {*links(ROOT / 'llms.txt')}


@pytest.mark.parametrize('name', PAGES)
def test_commands(name: str) -> None:
    """Each can be run: its options, its files and the keys it sets exist."""
    text = read(ROOT / name)
    for match in FENCE.finditer(text):
        if match[1] not in ('bash', 'console', 'sh', 'shell'):
            continue
        before = text[: match.start()].rstrip().splitlines() or ['']
        place = f'{name}, line {len(before) + 1}'
        mark = MARK.fullmatch(before[-1])
        assert mark, (
            f'{place}: say in a line right before the block <!-- needs: WHAT '
            '--> or <!-- tested: tests/FILE.py::test_NAME -->'
        )
        tested = ''
        for test in mark[2].split() if mark[1] == 'tested' else ():
            file, _, function = test.partition('::')
            tested += file + read(ROOT / file)
            assert f'def {function}(' in tested, f'{place}: there is no {test}'
        for words in words_of(match[2]):
            check_command(words, place)
            if tested and 'tools/' in ' '.join(words[1:2]):
                tool = Path(words[1]).stem
                assert tool in tested, f'{place}: the tests run no {tool}'


@pytest.mark.parametrize('name', PAGES)
def test_inline_commands_and_files(name: str) -> None:
    text = read(ROOT / name)
    # A config that the text calls CONFIG or the like has no suffix.
    files = r'\b(?:configs|scripts|tools)/[\w./-]+\.(?:py|sh)'
    for file in re.findall(files, text):
        assert (ROOT / file).is_file(), f'{name}: {file}'
    text = FENCE.sub('', text)
    for command in re.findall('`(python tools/[^`]+)`', text):
        check_command(shlex.split(command), f'{name}: {command}')


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks(path: Path) -> None:
    """They hold no outputs, and their commands exist."""
    for cell in json.loads(read(path))['cells']:
        assert not cell.get('outputs')
        assert cell.get('execution_count') is None
        source = ''.join(cell['source']).replace('\\\n', ' ')
        for command in re.findall('^%run (.+)', source, re.MULTILINE):
            check_command(['python', *shlex.split(command)], path.name)


def test_the_list_of_models_is_that_of_the_metafiles() -> None:
    zoo = load_tool('../scripts/model_zoo.py')
    assert read(zoo.PAGE) == zoo.page(), 'run scripts/model_zoo.py'


def test_the_results_are_those_of_the_runs() -> None:
    results = load_tool('../scripts/results.py')
    text = read(results.FOLDER.with_suffix('.md'))
    assert text == results.page(), 'run scripts/results.py'


def test_tables_of_results(tmp_path: Path) -> None:
    """Means and ranges over seeds; no run without a row, nor a row without."""
    results = load_tool('../scripts/results.py')
    tables = """
text: Seeds differ.
tables:
- {title: Masks, text: On val., metrics: {mIoU: mIoU of masks},
   rows: {the net: net, another: other_net}}
"""
    (tmp_path / 'tables.yml').write_text(tables)
    run = dict(command='python tools/train.py net.py', minutes=7.2)
    for name, value in (('net_seed0', 30), ('net_seed1', 33.06)):
        (tmp_path / f'{name}.json').write_text(
            json.dumps({'mIoU': value, **run})
        )
    with pytest.raises(ValueError, match='no file other_net_seedN.json'):
        results.page(tmp_path)
    (tmp_path / 'other_net_seed0.json').write_text(json.dumps(run))
    lines = results.page(tmp_path).splitlines()
    assert '| what | mIoU of masks | seeds |' in lines
    assert '| the net | 31.5 (30.0 to 33.1) | 2 |' in lines
    assert '| another |  | 1 |' in lines
    assert lines.count('python tools/train.py net.py') == 2
    (tmp_path / 'left_seed0.json').write_text(json.dumps(run))
    with pytest.raises(ValueError, match='no row for left'):
        results.page(tmp_path)
    (tmp_path / 'left.json').write_text('{}')
    with pytest.raises(ValueError, match='left.json: not called'):
        results.page(tmp_path)


def test_own_images_take_one_command(repo_root: Path) -> None:
    text = (repo_root / 'README.md').read_text(encoding='utf-8')
    (name,) = re.findall(r'tools/pipeline.py (\S+own-data.py)', text)
    options = re.search(r'own-data.py \\\n +--cfg-options (\S+)\n', text)
    assert options is not None
    assert options[1] == 'data_root=DIR'
    pipeline = read_pipeline(repo_root / name, dict(data_root='DIR'))
    assert pipeline.stages[-1].name == 'results'


@pytest.mark.parametrize('command', ['make demo', 'make test'])
def test_first_commands_come_early(repo_root: Path, command: str) -> None:
    lines = (repo_root / 'README.md').read_text('utf-8').splitlines()
    assert any(line.startswith(command) for line in lines[:40])
