"""The checks at import, the allow-list of torch and the config scope."""

import importlib
import os
import pickle
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader, Runner, load_checkpoint
from torch import Tensor, _weights_only_unpickler, nn
from torch.utils.data import Dataset

from mmwsl import compat

FITTING = {
    'torch': '2.11.0+cpu',
    'torchvision': '0.26.0',
    'mmengine': '0.10.7',
    'mmcv': '2.1.0',
}
WEIGHTS_ONLY = compat.release(torch.__version__) >= (2, 6)
needs_weights_only = pytest.mark.skipif(
    not WEIGHTS_ONLY, reason='this torch trusts pickles unless told otherwise'
)


class Points(Dataset):
    """Four points on a line."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Dict[str, Tensor]:
        return {'inputs': torch.full((2,), float(index))}


class Line(BaseModel):
    """A linear model whose loss is its output."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, inputs: Any, mode: str = 'tensor') -> Any:
        outputs = self.linear(torch.stack(list(inputs)))
        return {'loss': outputs.mean()} if mode == 'loss' else outputs


def train(work_dir: Path, epochs: int, resume: bool = False) -> Runner:
    """Train ``Line`` with mmengine's own runner."""
    runner = Runner(
        Line(),
        str(work_dir),
        train_dataloader={
            'batch_size': 2,
            'dataset': Points(),
            'sampler': {'type': 'DefaultSampler', 'shuffle': False},
        },
        train_cfg={'by_epoch': True, 'max_epochs': epochs},
        optim_wrapper={'optimizer': {'type': 'AdamW', 'lr': 0.1}},
        default_hooks={'logger': {'type': 'LoggerHook', 'interval': 1}},
        default_scope='mmengine',
        experiment_name=f'{work_dir}-{epochs}',
        log_level='ERROR',
        resume=resume,
    )
    # What CheckpointHook's save_best leaves: a numpy scalar.
    runner.message_hub.update_info('best_score', np.float64(0.5))
    runner.train()
    return runner


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that mmengine's runner wrote."""
    work_dir = tmp_path_factory.mktemp('run')
    train(work_dir, epochs=1)
    return work_dir / 'epoch_1.pth'


@pytest.fixture
def no_allow_list() -> Any:
    """An empty allow-list for the time of one test."""
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    yield
    torch.serialization.add_safe_globals(before)


class Reduced:
    """An object whose pickle calls ``function(*arguments)``."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call: Tuple[Any, Tuple] = (function, arguments)

    def __reduce__(self) -> Tuple[Any, Tuple]:
        return self.call


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


def test_import_names_what_is_missing(tmp_path: Path) -> None:
    result = run_without(tmp_path, 'mmengine', ['-c', 'import mmwsl'])
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith('ImportError: mmwsl needs mmengine >= ')
    assert last.endswith('pip install mmengine==0.10.7')


def test_doctor_runs_where_the_import_fails(tmp_path: Path) -> None:
    result = run_without(tmp_path, 'mmengine', ['-m', 'mmwsl.doctor'])
    assert result.returncode == 1
    assert 'error: mmwsl needs mmengine' in result.stdout
    assert 'stage 1: broken' in result.stdout


def test_import_stays_light() -> None:
    code = (
        'import sys, mmwsl\n'
        'heavy = [n for n in ("mmdet", "mmseg", "mmcv.ops", "mmcv._ext", '
        '"timm") if n in sys.modules]\n'
        'assert not heavy, heavy'
    )
    subprocess.run([sys.executable, '-c', code], check=True)


@needs_weights_only
def test_torch_alone_refuses_mmengine(
    checkpoint: Path, no_allow_list: None
) -> None:
    with pytest.raises(pickle.UnpicklingError):
        torch.load(checkpoint)
    compat.allow_mmengine_checkpoints()
    assert torch.load(checkpoint)['meta']['epoch'] == 1


def test_mmengine_loads_its_checkpoint(checkpoint: Path) -> None:
    loaded = load_checkpoint(Line(), str(checkpoint))
    logs = loaded['message_hub']['log_scalars']['train/loss']
    assert isinstance(logs, HistoryBuffer)
    assert logs.data[0].shape == (2,)
    assert logs.statistics('mean') == pytest.approx(logs.data[0].mean())
    info = CheckpointLoader.load_checkpoint(str(checkpoint), 'cpu')
    assert info['message_hub']['runtime_info']['best_score'] == 0.5


def test_runner_resumes(checkpoint: Path) -> None:
    runner = train(checkpoint.parent, epochs=2, resume=True)
    assert runner.epoch == 2
    hub = MessageHub.get_current_instance()
    # two iterations of the first run, two of the second
    assert len(hub.get_scalar('train/loss').data[0]) == 4


@needs_weights_only
def test_allow_list_outlives_that_of_others(checkpoint: Path) -> None:
    # What the fork of mmengine does around each load.
    with torch.serialization.safe_globals([HistoryBuffer, np.ndarray]):
        pass
    assert torch.load(checkpoint)['meta']['epoch'] == 1


@needs_weights_only
@pytest.mark.parametrize('module', ['numpy.core', 'numpy._core'])
def test_checkpoints_of_both_numpys(module: str) -> None:
    # torch.save writes this protocol, in which names are plain lines.
    pickled = pickle.dumps(HistoryBuffer([1.0, 2.0], [1, 1]), protocol=2)
    names = (b'numpy.core', b'numpy._core')
    used = next(name for name in names if name in pickled)
    pickled = pickled.replace(used, module.encode())
    restored = _weights_only_unpickler.load(BytesIO(pickled))
    assert restored.data[0].tolist() == [1.0, 2.0]


@needs_weights_only
@pytest.mark.parametrize(
    'harm',
    [
        Reduced(os.system, 'echo harm'),
        Reduced(eval, '1 + 1'),
        Reduced(getattr, HistoryBuffer, '__init__'),
        Reduced(getattr, HistoryBuffer, 'register_statistics'),
        Reduced(getattr, np.ndarray, 'tofile'),
        Reduced(importlib.import_module, 'os'),
    ],
)
def test_arbitrary_pickles_are_refused(tmp_path: Path, harm: Reduced) -> None:
    path = tmp_path / 'harm.pth'
    torch.save({'state_dict': {}, 'extra': harm}, path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path)
    # The fork warns and trusts the file: docs/install.md says so.
    if compat.distribution_version('onedl-mmengine') is None:
        with pytest.raises(pickle.UnpicklingError):
            CheckpointLoader.load_checkpoint(str(path), 'cpu')


def test_the_stand_in_for_getattr_is_narrow() -> None:
    lookup = compat._pickled_method
    assert lookup(HistoryBuffer, 'mean') is HistoryBuffer.mean
    for owner, name in (
        (HistoryBuffer, '__init__'),
        (HistoryBuffer([1.0], [1]), 'mean'),
        (os, 'system'),
    ):
        with pytest.raises(pickle.UnpicklingError, match='refused'):
            lookup(owner, name)


def test_configs_inherit_by_scope(tmp_path: Path) -> None:
    config = tmp_path / 'config.py'
    config.write_text("_base_ = 'mmwsl::_base_/default_runtime.py'\n")
    assert Config.fromfile(config).default_scope == 'mmwsl'


def test_configs_inherit_from_mmseg(tmp_path: Path) -> None:
    pytest.importorskip('mmseg')
    config = tmp_path / 'config.py'
    config.write_text("_base_ = 'mmseg::_base_/default_runtime.py'\n")
    assert Config.fromfile(config).default_scope == 'mmseg'
