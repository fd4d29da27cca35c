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
SLOW = ('PIL', 'cv2', 'mmcv', 'mmengine', 'numpy', 'torch', 'torchvision')
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


def test_they_import_mmwsl_before_what_takes_seconds():
    """It is what lets Ctrl-C end in one line."""
    for name in TOOLS:
        lines = (ROOT / 'tools' / name).read_text().splitlines()
        found = [
            line.split()[1].split('.')[0]
            for line in lines
            if line.startswith(('import ', 'from '))
        ]
        slow = [package for package in found if package in SLOW]
        assert found.index('mmwsl') < min(map(found.index, slow), default=99)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == 'win32', reason='no such signals')
def test_while_one_is_imported(tmp_path):
    for package in SLOW:
        (tmp_path / f'{package}.py').write_text(SLOW_IMPORT)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    result = subprocess.run(
        [sys.executable, str(ROOT / 'tools/train.py'), '--help'],
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
    monkeypatch.setattr(ArgumentParser, 'parse_args', lambda *_: Interrupted())
    assert call(tool) == 130
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith('stopped')
