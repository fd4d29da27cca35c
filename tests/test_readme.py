"""What the documentation shows works and what it links to exists."""

import re
from pathlib import Path
from typing import List

import pytest

from mmwsl.pipeline import read_pipeline

LINK = re.compile(r'\]\(([^)#\s]+)\)')


def pages(root: Path) -> List[Path]:
    """All pages of documentation."""
    found = [*root.glob('*.md'), *root.glob('docs/**/*.md')]
    return sorted([*found, *root.glob('configs/*/README.md')])


def test_links_lead_somewhere(repo_root: Path) -> None:
    checked = 0
    for page in pages(repo_root):
        for link in LINK.findall(page.read_text(encoding='utf-8')):
            if not re.match(r'[a-z]+:', link):
                assert (page.parent / link).exists(), f'{page}: {link}'
                checked += 1
    assert checked > 5


def test_own_images_take_one_command(repo_root: Path) -> None:
    text = (repo_root / 'README.md').read_text(encoding='utf-8')
    (name,) = re.findall(r'tools/pipeline.py (\S+own-data.py)', text)
    options = re.search(r'own-data.py \\\n +--cfg-options (\S+)\n', text)
    assert options is not None
    assert options[1] == 'data_root=DIR'
    pipeline = read_pipeline(repo_root / name, dict(data_root='DIR'))
    assert pipeline.stages[-1].name == 'results'


def test_commands_name_files_that_exist(repo_root: Path) -> None:
    # A config that the text calls CONFIG or the like has no suffix.
    pattern = re.compile(r'\b((?:configs|tools|scripts)/[\w./-]+\.(?:py|sh))')
    for page in pages(repo_root):
        for name in pattern.findall(page.read_text(encoding='utf-8')):
            if '*' not in name:
                assert (repo_root / name).is_file(), f'{page}: {name}'


@pytest.mark.parametrize('command', ['make demo', 'make test'])
def test_first_commands_come_early(repo_root: Path, command: str) -> None:
    lines = (repo_root / 'README.md').read_text('utf-8').splitlines()
    assert any(line.startswith(command) for line in lines[:40])
