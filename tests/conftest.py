"""Fixtures of the whole suite."""

import gc
import os
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Iterator, List

import pytest
import torch
from mmengine.config import Config, config
from mmengine.dataset import base_dataset
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.runner import runner

ROOT = Path(__file__).resolve().parents[1]
# The same everywhere; and a process that has used a GPU cannot be forked.
os.environ['CUDA_VISIBLE_DEVICES'] = ''


def pytest_configure() -> None:
    """Spare the many small runs what mmengine does slowly for each of them.

    It reads the metadata of all installed packages for a base such as
    ``mmseg::default_runtime.py``, formats configs, asks compilers for their
    versions, and collects garbage whenever a dataset is built.
    """
    find = lru_cache(maxsize=None)(Config._get_cfg_path)
    Config._get_cfg_path = staticmethod(find)
    config.FormatCode = lambda text, **_: (text, True)
    base_dataset.gc = SimpleNamespace(collect=int)
    runner.collect_env = lru_cache(maxsize=None)(runner.collect_env)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """Mark tests slow that wait for a training or for a wheel."""
    for item in items:
        if {'toy_checkpoint', 'wheel'} & {*getattr(item, 'fixturenames', ())}:
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Let collections of garbage pass over what the imports have made."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _scope_and_seed() -> Iterator[None]:
    """Every test starts in scope ``mmwsl`` with the same random state."""
    init_default_scope('mmwsl')
    torch.manual_seed(0)
    yield
    DefaultScope._instance_dict.clear()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> List[str]:
    """What is said once, as warnings are."""
    texts: List[str] = []
    monkeypatch.setattr(
        'mmwsl.utils.files.print_log', lambda text, **_: texts.append(text)
    )
    return texts


@pytest.fixture(scope='session')
def repo_root() -> Path:
    """The checkout that the tests run in; skips from an installed copy."""
    if not (ROOT / 'configs').is_dir():
        pytest.skip('needs the repository, not only the installed package')
    return ROOT


@pytest.fixture(scope='session')
def shared_dir() -> Path:
    """Real photographs and weights that lie beside the checkout."""
    path = ROOT.parent / 'shared'
    if not (path / 'data' / 'voc12_2007').is_dir():
        pytest.skip(f'needs the photographs in {path.name}/data/voc12_2007')
    return path
