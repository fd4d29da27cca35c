"""Checkpoints are read without being executed."""

import importlib
import os
import pickle
import tarfile
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any, Dict, Optional, Tuple
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import BaseModel
from mmengine.optim import OneCycleParamScheduler
from mmengine.runner import CheckpointLoader, Runner, load_checkpoint
from torch import Tensor, nn
from torch.utils.data import Dataset

from mmwsl import compat
from mmwsl.utils import checkpoints


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


class Reduced:
    """An object whose pickle calls ``function(*arguments)``."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call: Tuple[Any, Tuple] = (function, arguments)

    def __reduce__(self) -> Tuple[Any, Tuple]:
        return self.call


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


def test_torch_keeps_its_own_rules(checkpoint: Path) -> None:
    get_safe_globals = getattr(torch.serialization, 'get_safe_globals', list)
    assert not [item for item in get_safe_globals() if item is np.ndarray]
    if compat.release(torch.__version__) >= (2, 6):
        with pytest.raises(pickle.UnpicklingError):
            torch.load(checkpoint)


@pytest.mark.parametrize('module', ['numpy.core', 'numpy._core'])
def test_checkpoints_of_both_numpys(module: str) -> None:
    # torch.save writes this protocol, in which names are plain lines.
    pickled = pickle.dumps(HistoryBuffer([1.0, 2.0], [1, 1]), protocol=2)
    names = (b'numpy.core', b'numpy._core')
    used = next(name for name in names if name in pickled)
    pickled = pickled.replace(used, module.encode())
    restored = checkpoints.load(BytesIO(pickled))
    assert restored.data[0].tolist() == [1.0, 2.0]


@pytest.mark.parametrize('new_format', [True, False])
def test_reads_what_training_saves(tmp_path: Path, new_format: bool) -> None:
    path = tmp_path / 'x.pth'
    scheduler = OneCycleParamScheduler(
        torch.optim.SGD([torch.zeros(1)], lr=1.0), 'lr', 1.0, total_steps=9
    )
    content = {
        'half': torch.arange(4).half()[1:],
        'parameter': nn.Parameter(torch.ones(2, 2).t()),
        'counts': torch.tensor(3),
        'raw': b'bytes',
        'size': torch.Size([2]),
        'matrix': np.arange(6, dtype=np.int16).reshape(2, 3),
        'flag': np.bool_(True),
        'names': {'a', 'b'},
        'milestones': Counter([3, 3, 5]),
        'state': nn.BatchNorm2d(2).state_dict(),
        'annealing': scheduler.state_dict()['anneal_func'],
        'type': torch.bfloat16,
    }
    torch.save(content, path, _use_new_zipfile_serialization=new_format)
    loaded = checkpoints.read_checkpoint(path)
    assert loaded['half'].tolist() == [1, 2, 3]
    assert isinstance(loaded['parameter'], nn.Parameter)
    assert loaded['matrix'].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert loaded['matrix'].dtype == np.int16
    assert loaded['state']._metadata == content['state']._metadata
    for key in (
        'raw',
        'size',
        'flag',
        'names',
        'annealing',
        'type',
        'milestones',
    ):
        assert loaded[key] == content[key], key


@pytest.mark.parametrize('new_format', [True, False])
@pytest.mark.parametrize(
    'harm',
    [
        Reduced(os.system, 'echo harm'),
        Reduced(getattr, HistoryBuffer, 'register_statistics'),
        Reduced(getattr, np.ndarray, 'tofile'),
        Reduced(importlib.import_module, 'os'),
        Reduced(np.ndarray, (1,), 'O', b'12345678'),
        Reduced(np.ndarray, (1,), 'f8', b'12345678'),
        Reduced(np.dtype, 'O'),
        Reduced(np.dtype, [('a', 'O')]),
        Reduced(bytearray, 1 << 50),
        np.array([object], dtype=object),
        np.array(['text']),
        torch.nn.Linear(1, 1),
    ],
)
def test_arbitrary_pickles_are_refused(
    tmp_path: Path, harm: Any, new_format: bool
) -> None:
    path = tmp_path / 'harm.pth'
    torch.save(
        {'state_dict': {}, 'extra': harm},
        path,
        _use_new_zipfile_serialization=new_format,
    )
    with pytest.raises(ValueError, match='harm.pth'):
        CheckpointLoader.load_checkpoint(str(path), 'cpu')


def write_zipped(path: Path, pickled: bytes) -> None:
    """Write a checkpoint of one record of 16 bytes."""
    with ZipFile(path, 'w') as file:
        file.writestr('archive/data.pkl', pickled)
        file.writestr('archive/version', '3\n')
        file.writestr('archive/data/0', bytes(16))


STORAGE = b'ctorch.storage\nUntypedStorage\n'


@pytest.mark.parametrize(
    'pickled',
    [
        # an allocator at an address of the file's choice
        b'\x80\x04' + STORAGE + b')}\x8c\x09allocatorJABCDs\x92.',
        # memory that nobody has filled
        b'\x80\x02' + STORAGE + b'K\x10\x85R.',
        b'\x80\x02' + STORAGE + b'K\x10\x85\x81.',
        # other forms of calls and references
        b'\x80\x02(ios\nsystem\n.',
        b'\x80\x02(cos\nsystem\n\x8c\x02ido.',
        b'\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.',
        b'\x80\x02\x82\x01.',
        b'\x80\x02Pfoo\n.',
        b'\x80\x02K\x05Q.',
    ],
)
def test_opcodes_of_other_pickles_are_refused(
    tmp_path: Path, pickled: bytes
) -> None:
    write_zipped(tmp_path / 'harm.pth', pickled)
    with pytest.raises(ValueError, match='harm.pth'):
        checkpoints.read_checkpoint(tmp_path / 'harm.pth')


@pytest.mark.parametrize('count', [5, 1000, -1])
def test_tensors_stay_in_their_record(tmp_path: Path, count: int) -> None:
    """torch before 2.10 reads memory behind it."""
    number = b'J' + count.to_bytes(4, 'little', signed=True)
    names = b'\x8c\x07storagectorch\nFloatStorage\n\x8c\x010\x8c\x03cpu'
    reference = b'(' + names + number + b'tQ'
    write_zipped(tmp_path / 'harm.pth', b'\x80\x04' + reference + b'.')
    with pytest.raises(ValueError, match=f'harm.pth.* {count} numbers'):
        checkpoints.read_checkpoint(tmp_path / 'harm.pth')


def test_two_records_of_one_name_are_refused(tmp_path: Path) -> None:
    with ZipFile(tmp_path / 'harm.pth', 'w') as file:
        file.writestr('a/data/0', b'')
        file.writestr('b/data/0', b'')
    with pytest.raises(ValueError, match='harm.pth'):
        checkpoints.read_checkpoint(tmp_path / 'harm.pth')


def test_arrays_own_as_many_numbers_as_they_say() -> None:
    pickled = pickle.dumps(np.arange(4, dtype=np.uint8), protocol=2)
    assert checkpoints.load(BytesIO(pickled)).tolist() == [0, 1, 2, 3]
    # The shape is written as a number of one byte in a tuple.
    longer = pickled.replace(b'K\x04\x85', b'K\x44\x85')
    assert longer != pickled
    with pytest.raises(pickle.UnpicklingError, match='size'):
        checkpoints.load(BytesIO(longer))


def write_tar(path: Path) -> None:
    """Write the format of torch before 0.2."""
    with tarfile.open(path, 'w') as tar:
        tar.addfile(tarfile.TarInfo('\x80\x02'))


@pytest.mark.parametrize(
    'start',
    [
        b'',
        b'<!DOCTYPE html><html>',
        b'version https://git-lfs.github.com/spec/v1\n',
        b'\x80\x02',
        b'PK\x03\x04',
        None,
    ],
)
def test_files_that_are_no_checkpoints(
    tmp_path: Path, start: Optional[bytes]
) -> None:
    path = tmp_path / 'file.pth'
    if start is None:
        write_tar(path)
    else:
        path.write_bytes(start)
    with pytest.raises(ValueError, match='file.pth') as info:
        checkpoints.read_checkpoint(path)
    assert 'weights_only' not in str(info.value)
    assert not checkpoints.is_whole(path)


def test_part_of_a_checkpoint_is_not_whole(
    tmp_path: Path, checkpoint: Path
) -> None:
    content = checkpoint.read_bytes()
    assert checkpoints.is_whole(checkpoint)
    path = tmp_path / 'part.pth'
    for size in (1, 100, len(content) // 2, len(content) - 10):
        path.write_bytes(content[:size])
        assert not checkpoints.is_whole(path)
        with pytest.raises(ValueError, match='part.pth'):
            checkpoints.read_checkpoint(path)


def test_downloads_are_read_the_same_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(url: str, path: str, progress: bool) -> None:
        torch.save({'harm': Reduced(os.system, 'echo harm')}, path)

    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    with pytest.raises(ValueError, match='weights.pth.*system'):
        CheckpointLoader.load_checkpoint('https://a.example/weights.pth')
