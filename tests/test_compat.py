"""The checks at import and the config scope."""

import os
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest
from mmengine.config import Config

from mmwsl import compat

FITTING = {
    'torch': '2.11.0+cpu',
    'torchvision': '0.26.0',
    'mmengine': '0.10.7',
    'mmcv': '2.1.0',
}


def test_release() -> None:
    assert compat.release('2.11.0+cu128') == (2, 11, 0)
    assert compat.release('2.1.0rc4') == (2, 1, 0)
    assert compat.release('unknown') == ()


def test_fitting_versions_pass() -> None:
    compat.check_requirements(FITTING)
    compat.check_requirements()  # and what runs this test fits


@pytest.mark.parametrize(
    ('name', 'version', 'command'),
    [
        ('torch', '1.13.1', 'pip install torch'),
        ('torchvision', '0.15.2', 'pip install torch'),
        ('mmengine', '0.7.4', 'pip install mmengine==0.10.7'),
        ('mmcv', '1.7.2', 'mmcv==2.1.0'),
        ('mmcv', '3.0.0', 'mmcv==2.1.0'),
    ],
)
def test_wrong_version(name: str, version: str, command: str) -> None:
    with pytest.raises(ImportError) as error:
        compat.check_requirements({**FITTING, name: version})
    message = str(error.value)
    assert f'mmwsl needs {name} >= ' in message
    assert f'but {name} {version} was found; run: ' in message
    assert command in message
    assert '\n' not in message


def test_missing_package() -> None:
    versions = {k: v for k, v in FITTING.items() if k != 'mmcv'}
    with pytest.raises(ImportError, match='mmcv is not installed; run: '):
        compat.check_requirements(versions)


def test_fork_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    fork = {
        'torch': '2.13.0',
        'torchvision': '0.28.0',
        'onedl-mmengine': '0.10.12',
        'onedl-mmcv': '2.3.6',
    }

    def version(name: str) -> str:
        if name not in fork:
            raise compat.metadata.PackageNotFoundError(name)
        return fork[name]

    monkeypatch.setattr(compat.metadata, 'version', version)
    found = compat.installed_versions()
    assert found['mmengine'] == '0.10.12'
    assert found['mmcv'] == '2.3.6'
    compat.check_requirements(found)


def run_without(
    tmp_path: Path, module: str, arguments: List[str]
) -> subprocess.CompletedProcess:
    """Run Python where ``module`` is broken and has no metadata."""
    (tmp_path / 'sitecustomize.py').write_text(
        'from importlib import metadata, util\n'
        'version, find_spec = metadata.version, util.find_spec\n'
        'def hidden(name):\n'
        f'    if name.split("-")[-1] == {module!r}:\n'
        '        raise metadata.PackageNotFoundError(name)\n'
        '    return version(name)\n'
        'def no_spec(name, *args):\n'
        f'    return None if name == {module!r} else find_spec(name, *args)\n'
        'metadata.version, util.find_spec = hidden, no_spec\n'
    )
    root = Path(compat.__file__).parents[1]
    path = os.pathsep.join([str(tmp_path), str(root)])
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, 'PYTHONPATH': path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_import_names_what_is_missing(tmp_path: Path) -> None:
    result = run_without(tmp_path, 'mmengine', ['-c', 'import mmwsl'])
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith('ImportError: mmwsl needs mmengine >= ')
    assert last.endswith('pip install mmengine==0.10.7')


@pytest.mark.slow
def test_doctor_runs_where_the_import_fails(tmp_path: Path) -> None:
    result = run_without(tmp_path, 'mmengine', ['-m', 'mmwsl.doctor'])
    assert result.returncode == 1
    assert 'error: mmwsl needs mmengine' in result.stdout
    assert 'stage 1: broken' in result.stdout


@pytest.mark.slow
def test_import_stays_light() -> None:
    code = (
        'import sys, mmwsl\n'
        'heavy = [n for n in ("mmdet", "mmseg", "mmcv.ops", "mmcv._ext", '
        '"timm") if n in sys.modules]\n'
        'assert not heavy, heavy'
    )
    subprocess.run([sys.executable, '-c', code], check=True)


def test_configs_inherit_by_scope(tmp_path: Path) -> None:
    config = tmp_path / 'config.py'
    config.write_text("_base_ = 'mmwsl::_base_/default_runtime.py'\n")
    assert Config.fromfile(config).default_scope == 'mmwsl'


def test_configs_inherit_from_mmseg(tmp_path: Path) -> None:
    pytest.importorskip('mmseg')
    config = tmp_path / 'config.py'
    config.write_text("_base_ = 'mmseg::_base_/default_runtime.py'\n")
    assert Config.fromfile(config).default_scope == 'mmseg'
