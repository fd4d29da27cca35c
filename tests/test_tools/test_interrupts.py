"""Ctrl-C ends every tool in one line, whatever it is doing."""

import os
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path

import pytest

from tool_calls import ROOT, call, load_tool

TOOLS = sorted(
    path.relative_to(ROOT / 'tools').as_posix()
    for path in (ROOT / 'tools').rglob('*.py')
    if '__main__' in path.read_text()
)
# Stands for packages whose import takes seconds.
SLOW_IMPORT = """
import os, signal, time
os.kill(os.getpid(), signal.SIGINT)
time.sleep(60)
"""


class Interrupted:
    """A command line that is read while Ctrl-C is pressed."""

    def __getattr__(self, name):
        raise KeyboardInterrupt


def test_there_are_tools():
    assert {'train.py', 'analysis_tools/crf.py'} <= set(TOOLS)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == 'win32', reason='no such signals')
@pytest.mark.parametrize('name', TOOLS)
def test_while_it_is_imported(name, tmp_path):
    for package in ('cv2', 'mmcv', 'mmengine', 'numpy', 'torch'):
        (tmp_path / f'{package}.py').write_text(SLOW_IMPORT)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    result = subprocess.run(
        [sys.executable, str(ROOT / 'tools' / name), '--help'],
        env={**os.environ, 'PYTHONPATH': path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (130, 'stopped\n')


@pytest.mark.parametrize(
    'name', [name for name in TOOLS if Path(name).parts[0] != 'benchmarks']
)
def test_while_it_runs(name, capsys, monkeypatch):
    tool = load_tool(name)
    owner = tool if hasattr(tool, 'parse_args') else ArgumentParser
    monkeypatch.setattr(owner, 'parse_args', lambda *_: Interrupted())
    assert call(tool) == 130
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith('stopped')
