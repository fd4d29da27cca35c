"""The documentation becomes a site, and its notebook runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from test_readme import LINK, NOTEBOOKS, ROOT, WANTED

pytestmark = pytest.mark.slow
# What a browser would load; links to other places are for readers.
LOADED = re.compile(
    r'<(?:script|img|iframe|source)[^>]+src="([^"]+)"'
    r'|<link[^>]+rel="(?:stylesheet|preload|preconnect|icon)"[^>]*'
    r'href="([^"]+)"|@import|url\((https?:[^)]+)\)'
)


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """The site, built without a network and without a warning."""
    pytest.importorskip('furo')
    pytest.importorskip('myst_parser')
    out = tmp_path_factory.mktemp('site')
    # No proxy listens there.
    proxies = {
        f'{kind}_proxy': 'http://127.0.0.1:9' for kind in ('http', 'https')
    }
    command = 'sphinx -q -W --keep-going -c docs .'
    done = subprocess.run(
        [sys.executable, '-m', *command.split(), str(out)],
        cwd=ROOT,
        env={**os.environ, **proxies},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return out


def test_nothing_is_loaded_from_outside(site):
    files = [*site.rglob('*.html'), *site.rglob('*.css')]
    number = 0
    for path in files:
        for found in LOADED.finditer(path.read_text('utf-8')):
            number += 1
            target = ''.join(filter(None, found.groups()))
            assert not re.match('(https?:)?//', target), f'{path}: {found[0]}'
    assert number > len(files)


def test_pages_have_what_they_show(site):
    (start,) = re.findall('url=([^"]+)', (site / 'index.html').read_text())
    text = (site / start).read_text('utf-8')
    for name in WANTED:
        assert f'href="{name}.html"' in text
    text = (site / 'docs/api.html').read_text('utf-8')
    for name in ('apis.WSLInferencer', 'models.layers.peak_response_maps'):
        assert f'id="mmwsl.{name}"' in text
    text = (site / 'docs/notebooks/labels_to_masks.html').read_text('utf-8')
    assert 'build_runner' in text
    text = (site / 'configs/cam/README.html').read_text('utf-8')
    assert re.search(r'href="[./]*_downloads/\w+/cam_r18_toy.py"', text)


def test_llms_txt(site):
    text = (site / 'llms.txt').read_text('utf-8')
    assert re.match(r'# mmwsl\n\n> .+\n\n', text)
    links = LINK.findall(text)
    assert len(links) > 20
    for link in links:
        assert (site / link).is_file(), link


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path) -> None:
    nbformat = pytest.importorskip('nbformat')
    nbclient = pytest.importorskip('nbclient')
    pytest.importorskip('ipykernel')
    for name in ('configs', 'tools'):
        (tmp_path / name).symlink_to(ROOT / name)
    notebook = nbformat.read(path, as_version=4)
    resources = dict(metadata=dict(path=str(tmp_path)))
    nbclient.NotebookClient(
        notebook, timeout=300, resources=resources
    ).execute()
    outputs = [x for cell in notebook.cells for x in cell.get('outputs', [])]
    kinds = {kind for x in outputs for kind in x.get('data', {})}
    assert 'image/png' in kinds
    assert (tmp_path / 'work_dirs/notebook/coco/annotations.json').is_file()
