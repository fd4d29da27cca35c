"""Stage 1 needs neither mmdet nor mmseg nor mmcv's compiled ops."""

import os
import subprocess
import sys

import pytest

from toy_run import CONFIG, ROOT, SMALL, test_metrics

pytestmark = pytest.mark.slow

# Hides packages from all finders, as if they were not installed.
BLOCKER = """
import runpy, sys

class Hiding:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('mmdet', 'mmseg') or name == 'mmcv._ext':
            return None
        return self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
for name in ('mmdet', 'mmseg', 'mmcv._ext'):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(f'{name} was imported')
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


def test_train_test_and_pictures(tmp_path):
    options = ['--work-dir', str(tmp_path), '--cfg-options', *SMALL]
    options.append('train_cfg.max_epochs=1')

    def run(tool, *args):
        line = [str(ROOT / 'tools' / tool), CONFIG, *args, *options]
        subprocess.run(
            [sys.executable, '-c', BLOCKER, *line],
            env=dict(os.environ, OMP_NUM_THREADS='1'),
            check=True,
        )

    run('train.py')
    checkpoint = (tmp_path / 'last_checkpoint').read_text()
    run('test.py', checkpoint, '--show-dir', str(tmp_path / 'show'))
    assert {'mAP', 'mIoU', 'body_recall'} <= set(test_metrics(tmp_path))
    pictures = [p for p in (tmp_path / 'show').rglob('*') if p.is_file()]
    assert len(pictures) == 11  # ten images and a contact sheet
