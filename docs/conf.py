"""The site, which ``make docs`` builds into ``docs/_build``.

Sphinx reads the whole repository, so that pages link to each other and to
files as they do on GitHub.
"""

import json
import re
from pathlib import Path
from typing import Any, List

from sphinx.application import Sphinx

import mmwsl

project = 'mmwsl'
author = copyright = 'the mmwsl authors'
release = mmwsl.__version__

root_doc = 'docs/index'
include_patterns = [
    'README.md',
    'CHANGELOG.md',
    'docs/*.md',
    'docs/notes/*.md',
    'docs/notebooks/*.ipynb',
    'configs/*/README.md',
]
exclude_patterns = ['.*', 'docs/_build', 'mmwsl', 'tests', 'work_dirs']
source_suffix = {'.md': 'markdown', '.ipynb': 'markdown'}
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
# Of commands in notebooks, which are no Python.
suppress_warnings = ['misc.highlighting_failure']
# Links name headings as GitHub does.
myst_heading_anchors = 4
myst_html_meta = {
    'description': 'mmwsl: weakly supervised vision as an OpenMMLab plugin: '
    'class maps, boxes, counts, instances and masks from image-level labels',
}
autodoc_typehints = 'description'
autodoc_member_order = 'bysource'

html_theme = 'furo'
html_title = 'mmwsl'
html_show_sphinx = False
# To the root of the site, from where it leads on to the start.
html_extra_path = ['index.html']

ROOT = Path(__file__).resolve().parents[1]
FOLDER = re.compile(r'(\]\([./]*configs/\w+)\)')


def as_markdown(notebook: Any) -> str:
    """Return the cells of a notebook as a page."""
    parts = []
    for cell in notebook['cells']:
        text = ''.join(cell['source'])
        if cell['cell_type'] == 'code':
            text = f'```python\n{text}\n```'
        parts.append(text)
    return '\n\n'.join(parts)


def read(app: Sphinx, name: str, source: List[str]) -> None:
    """Make pages of notebooks, and of links to folders those to a page."""
    if app.env.doc2path(name).suffix == '.ipynb':
        source[0] = as_markdown(json.loads(source[0]))
    source[0] = FOLDER.sub(r'\1/README.md)', source[0])


def finish(app: Sphinx, error: Any) -> None:
    """Copy llms.txt, whose links lead to the sources of the pages."""
    text = (ROOT / 'llms.txt').read_text('utf-8')
    text = re.sub(r'\]\(([\w/.]+)\)', r'](_sources/\1.txt)', text)
    (Path(app.outdir) / 'llms.txt').write_text(text, 'utf-8')


def setup(app: Sphinx) -> None:
    """Read pages and end as above."""
    app.connect('source-read', read)
    app.connect('build-finished', finish)
