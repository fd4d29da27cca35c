"""The packages of mmwsl import each other downwards only."""

import ast
from pathlib import Path

import mmwsl

ROOT = Path(mmwsl.__file__).parent
# From the top; packages of one floor may import each other.
FLOORS = (
    ('apis', 'doctor'),
    ('engine', 'pipeline'),
    ('models', 'visualization'),
    ('evaluation',),
    ('datasets',),
    ('pseudo_labels', 'proposals', 'saliency'),
    ('structures', 'utils', 'registry', 'compat', 'version'),
)
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}


def imports_of(path):
    """Names of the modules of mmwsl that a file imports, with lines."""
    package = ('mmwsl', *path.relative_to(ROOT).parts)
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level] if node.level else ()
            base = '.'.join([*above, *filter(None, [node.module])])
            # What is imported may be a module, too.
            names = [f'{base}.{alias.name}' for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith('mmwsl.'):
                yield name.split('.')[1], node.lineno


def test_imports_run_down_only():
    upwards = []
    for path in sorted(ROOT.rglob('*.py')):
        place = path.relative_to(ROOT)
        own = place.parts[0].replace('.py', '')
        if own == '__init__':
            continue
        for other, line in imports_of(path):
            if other not in FLOOR:  # a name of mmwsl itself
                continue
            if FLOOR[other] < FLOOR[own]:
                upwards.append(f'{place}:{line}: {own} imports {other}')
    assert not upwards


def test_every_package_has_its_floor():
    names = {path.stem for path in ROOT.iterdir() if path.stem[0] != '_'}
    assert {n for n in names if not n.startswith('.')} == set(FLOOR)


def test_models_know_nothing_of_evaluation_and_data():
    for path in sorted((ROOT / 'models').rglob('*.py')):
        found = {other for other, _ in imports_of(path)}
        assert not found & {'evaluation', 'datasets'}, path
