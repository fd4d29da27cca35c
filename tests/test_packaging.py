"""What leaves the repository, and what ``mim`` and mmengine find in it."""

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Dict, Iterator, List, Set

import pytest
from mmengine.config import Config
from mmengine.fileio import load

import mmwsl

ITEMS = (
    'mmwsl',
    'configs',
    'tools',
    'requirements',
    'model-index.yml',
    'setup.py',
    'setup.cfg',
    'MANIFEST.in',
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
)
# Import names of what requirements/runtime.txt and the checks at import name.
CORE = {'torch', 'torchvision', 'mmengine', 'mmcv', 'numpy', 'cv2', 'mmwsl'}
CORE |= {'PIL', 'filelock', 'jinja2', 'pycocotools', 'scipy'}
# What mmengine and mmcv themselves require.
CORE |= {'matplotlib', 'yaml'}
# Extras: imported only where a config names them, never at the top level.
OPTIONAL = {'onnx', 'onnxruntime', 'timm', 'mmdet', 'mmseg'}
# safetensors comes with timm.
OPTIONAL |= {'pydensecrf', 'safetensors'}


def copy_sources(root: Path, target: Path) -> Path:
    """Copy what a build needs, without links and earlier results."""
    ignore = shutil.ignore_patterns('.mim', '__pycache__')
    target.mkdir()
    for name in ITEMS:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=ignore)
        else:
            shutil.copy2(source, target / name)
    return target


def load_setup(folder: Path) -> Any:
    """Import ``setup.py`` of a folder without running it."""
    spec = importlib.util.spec_from_file_location(
        'mmwsl_setup', folder / 'setup.py'
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The wheel, built without a network."""
    root = Path(__file__).resolve().parents[1]
    folder = tmp_path_factory.mktemp('build')
    sources = copy_sources(root, folder / 'mmwsl')
    command = 'wheel --quiet --no-deps --no-index --no-build-isolation'
    subprocess.run(
        [sys.executable, '-m', 'pip', *command.split(), str(sources)],
        cwd=folder,
        check=True,
        env={**os.environ, 'PIP_DISABLE_PIP_VERSION_CHECK': '1'},
    )
    (path,) = folder.glob('mmwsl-*.whl')
    with zipfile.ZipFile(path) as archive:
        yield archive


def relative_files(folder: Path) -> Set[str]:
    """All files that a build takes from a folder, as posix paths."""
    return {
        path.relative_to(folder.parent).as_posix()
        for path in folder.rglob('*')
        if path.is_file() and path.suffix in ('.py', '.yml', '.md', '.sh')
    }


def test_wheel_has_one_package(wheel: zipfile.ZipFile) -> None:
    tops = {name.split('/')[0] for name in wheel.namelist()}
    assert {top.split('-')[0] for top in tops} == {'mmwsl'}
    (top_level,) = [n for n in wheel.namelist() if n.endswith('top_level.txt')]
    assert wheel.read(top_level).decode().split() == ['mmwsl']


def test_wheel_has_every_module(
    wheel: zipfile.ZipFile, repo_root: Path
) -> None:
    names = {n for n in wheel.namelist() if '/.mim/' not in n}
    modules = {
        path.relative_to(repo_root).as_posix()
        for path in (repo_root / 'mmwsl').rglob('*.py')
        if '.mim' not in path.parts
    }
    assert modules == {name for name in names if name.endswith('.py')}


def test_wheel_carries_what_mim_needs(
    wheel: zipfile.ZipFile, repo_root: Path
) -> None:
    prefix = 'mmwsl/.mim/'
    found = {
        n[len(prefix) :] for n in wheel.namelist() if n.startswith(prefix)
    }
    expected = relative_files(repo_root / 'configs')
    expected |= relative_files(repo_root / 'tools')
    assert found == expected | {'model-index.yml'}
    # Real files, not links: the high bits of a Unix mode are 0o100000.
    for name in wheel.namelist():
        assert wheel.getinfo(name).external_attr >> 28 != 0o12, name


def test_wheel_requires_nothing_of_openmmlab(wheel: zipfile.ZipFile) -> None:
    (name,) = [n for n in wheel.namelist() if n.endswith('METADATA')]
    lines = wheel.read(name).decode().splitlines()
    required = [n for n in lines if n.startswith('Requires-Dist:')]
    plain = [line for line in required if 'extra ==' not in line]
    names = {line.split()[1] for line in plain}
    others = {'filelock', 'jinja2', 'numpy', 'pillow'}
    assert names == others | {'pycocotools', 'scipy'}
    assert 'mmwsl/pipeline/page.html.j2' in wheel.namelist()
    extras = {n.split()[1] for n in lines if n.startswith('Provides-Extra:')}
    assert {'mim', 'mmdet', 'mmseg', 'timm'} <= extras


def test_links_replace_what_was_left(tmp_path: Path, repo_root: Path) -> None:
    sources = copy_sources(repo_root, tmp_path / 'mmwsl')
    setup = load_setup(sources)
    mim = sources / 'mmwsl' / '.mim'
    mim.mkdir()
    (mim / 'configs').symlink_to('nowhere')
    (mim / 'tools').mkdir()
    (mim / 'tools' / 'old.py').touch()
    setup.fill_mim_folder(link=True)
    for name in setup.MIM_ITEMS:
        assert (mim / name).is_symlink()
        assert (mim / name).resolve() == sources / name
    setup.fill_mim_folder(link=False)
    for name in setup.MIM_ITEMS:
        assert not (mim / name).is_symlink()
    assert relative_files(mim / 'tools') == relative_files(sources / 'tools')


def test_missing_item_is_named(tmp_path: Path, repo_root: Path) -> None:
    sources = copy_sources(repo_root, tmp_path / 'mmwsl')
    (sources / 'model-index.yml').unlink()
    with pytest.raises(FileNotFoundError, match='yml is missing'):
        load_setup(sources).fill_mim_folder(link=False)


def test_build_keeps_the_links(
    tmp_path: Path, repo_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = copy_sources(repo_root, tmp_path / 'mmwsl')
    setup = load_setup(sources)
    configs = sources / 'mmwsl' / '.mim' / 'configs'
    linked: List[bool] = []
    monkeypatch.setattr(
        setup,
        'setup',
        lambda **kwargs: linked.append(configs.is_symlink()),
    )
    for command in ('develop', 'bdist_wheel'):
        monkeypatch.setattr(sys, 'argv', ['setup.py', command])
        setup.main()
        assert configs.is_symlink()
    assert linked == [True, False]


def metafiles(root: Path) -> Dict[str, Any]:
    """The content of every metafile, by its path from the root."""
    return {
        path.relative_to(root).as_posix(): load(path)
        for path in sorted(root.glob('configs/*/metafile.yml'))
    }


def test_model_index_lists_every_metafile(repo_root: Path) -> None:
    listed = load(repo_root / 'model-index.yml')['Import']
    assert sorted(listed) == sorted(metafiles(repo_root))


def test_metafiles_name_every_config(repo_root: Path) -> None:
    named = [
        model['Config']
        for content in metafiles(repo_root).values()
        for model in content['Models']
    ]
    assert len(named) == len(set(named))
    present = {
        path.relative_to(repo_root).as_posix()
        for path in (repo_root / 'configs').rglob('*.py')
        if '_base_' not in path.parts
        # These join configs and are no model.
        and not path.name.startswith('pipeline_')
    }
    assert set(named) == present
    # mim finds configs by their file names alone, bases included.
    names = [path.name for path in (repo_root / 'configs').rglob('*.py')]
    assert len(names) == len(set(names))


def test_metafile_entries(repo_root: Path) -> None:
    for path, content in metafiles(repo_root).items():
        collections = {item['Name'] for item in content['Collections']}
        for model in content['Models']:
            # mim looks a config up by this name, in lower case.
            assert model['Name'] == Path(model['Config']).stem.lower(), path
            assert model['In Collection'] in collections, path


def test_bases_resolve_by_scope(repo_root: Path, tmp_path: Path) -> None:
    bases = Path(mmwsl.__file__).parent / '.mim' / 'configs' / '_base_'
    if not bases.is_dir():
        pytest.fail(f'{bases} is missing: install mmwsl, for example editable')
    config = tmp_path / 'config.py'
    config.write_text("_base_ = 'mmwsl::_base_/default_runtime.py'\n")
    own = Config.fromfile(repo_root / 'configs/_base_/default_runtime.py')
    inherited = Config.fromfile(config)
    assert inherited.default_scope == own.default_scope == 'mmwsl'
    assert set(inherited.keys()) == set(own.keys())


def imports(path: Path, nested: bool) -> Set[str]:
    """The packages that a module imports: all, or those outside functions."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    names = set()
    for node in ast.walk(tree) if nested else tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name.split('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(str(node.module).split('.')[0])
    return names


def test_imports_stay_within_the_requirements(repo_root: Path) -> None:
    standard = set(getattr(sys, 'stdlib_module_names', ())) or None
    if standard is None:
        pytest.skip('this Python does not list its own modules')
    for path in sorted((repo_root / 'mmwsl').rglob('*.py')):
        if '.mim' in path.parts:
            continue
        outside = imports(path, nested=False) - standard - CORE
        assert not outside, f'{path} imports {outside}'
        extra = imports(path, nested=True) - standard - CORE - OPTIONAL
        assert not extra, f'{path} imports {extra}'
