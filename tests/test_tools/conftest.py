"""What the tests of the commands share."""

import io
from contextlib import redirect_stdout

import pytest
from mmengine.registry import init_default_scope

from tool_calls import ROOT, call, load_tool, options
from toy_run import CONFIG, SMALL


@pytest.fixture(scope='module')
def tool(request):
    """The command of ``tools/`` that a file of tests is named after."""
    name = request.path.name[len('test_') :]
    (path,) = (
        path
        for path in (ROOT / 'tools').rglob(name)
        if path.parent.name != 'benchmarks'
    )
    return load_tool(path)


@pytest.fixture(scope='session')
def toy_checkpoint(tmp_path_factory):
    """The checkpoint of one epoch by ``tools/train.py``."""
    folder = tmp_path_factory.mktemp('trained')
    init_default_scope('mmwsl')
    small = options(*SMALL, 'train_cfg.max_epochs=1')
    args = [CONFIG, '--work-dir', folder, *small]
    console = io.StringIO()
    with redirect_stdout(console):
        assert call(load_tool('train.py'), *args) == 0
    (folder / 'console.txt').write_text(console.getvalue())
    return folder / 'epoch_1.pth'
