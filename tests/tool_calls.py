"""The commands of ``tools/``, called in the process of the tests."""

import importlib.util
import itertools
import json
from pathlib import Path
from types import ModuleType
from typing import Any, List

from mmengine.logging import MessageHub, MMLogger

from mmwsl.visualization import WSLVisualizer

ROOT = Path(__file__).resolve().parents[1]
# Runs that start within one second would share loggers and pictures.
_NUMBERS = itertools.count()
# No processes for the few images of a test.
NO_WORKERS = [
    f'{split}_dataloader.{key}'
    for split in ('train', 'val', 'test')
    for key in ('num_workers=0', 'persistent_workers=False')
]


def load_tool(name: str) -> ModuleType:
    """Import a file of ``tools/``."""
    path = ROOT / 'tools' / name
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(tool: ModuleType, *args: Any) -> int:
    """Run a command's ``main`` and return its exit code."""
    _forget()
    try:
        return tool.main([str(arg) for arg in args])
    except SystemExit as stop:
        return int(str(stop.code))
    finally:
        _forget()


def metrics(tool: ModuleType, folder: Path, *args: Any) -> Any:
    """Run a command that scores, and return what it writes."""
    out = folder / 'new' / 'metrics.json'
    assert call(tool, *args, '--out', out) == 0
    return json.loads(out.read_text())


def fails(tool: ModuleType, capsys: Any, *args: Any) -> str:
    """Run a command that fails, and return its one error."""
    capsys.readouterr()
    assert call(tool, *args) == 1
    return error(capsys.readouterr())


def _forget() -> None:
    """Drop what holds streams and folders of a call or of another test."""
    for kind in (MMLogger, MessageHub, WSLVisualizer):
        kind._instance_dict.clear()


def options(*args: str) -> List[str]:
    """Return ``--cfg-options`` of a run in this process."""
    name = f'experiment_name=test_{next(_NUMBERS)}'
    return ['--cfg-options', name, *NO_WORKERS, *args]


def error(printed: Any) -> str:
    """Return the one error of a failed command.

    Args:
        printed: From ``capsys.readouterr()``.
    """
    lines = printed.err.splitlines()
    assert 'Traceback' not in printed.err
    found = [line for line in lines if line.startswith('error: ')]
    assert len(found) == 1, printed.err
    return found[0]
