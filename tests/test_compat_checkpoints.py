"""Checkpoints of mmengine under a torch that refuses pickles."""

import importlib
import os
import pickle
from io import BytesIO
from pathlib import Path
from typing import Any, Dict, Tuple

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader, Runner, load_checkpoint
from torch import Tensor, _weights_only_unpickler, nn
from torch.utils.data import Dataset

from mmwsl import compat

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
