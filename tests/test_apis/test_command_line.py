"""Options that the train and the test command share, and their runner."""

import datetime
import io
import logging
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmwsl.apis import (
    ToolParser,
    build_runner,
    command_line,
    keep_freed_memory,
    mend_last_checkpoint,
    read_config,
    runner_parser,
    setup_cpu_distributed,
    with_progress,
)


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '')
    monkeypatch.delenv('LOCAL_RANK')
    file = tmp_path / 'my_config.py'
    file.write_text(
        "model = dict(type='A')\na = dict(b=1)\n"
        "root = 'x'\nlist = [root + '/y']\n"
    )
    return file


def parse(*args):
    return runner_parser('text').parse_args([str(arg) for arg in args])


def test_defaults(path):
    cfg = read_config(parse(path))
    assert cfg.work_dir == 'work_dirs/my_config'
    assert cfg.launcher == 'none'
    assert cfg.a.b == 1


def test_work_dir(path):
    path.write_text("model = dict(type='A')\nwork_dir = 'of_the_config'\n")
    assert read_config(parse(path)).work_dir == 'of_the_config'
    args = parse(path, '--work-dir', 'mine')
    assert read_config(args).work_dir == 'mine'


def test_options_are_merged(path):
    args = parse(path, '--cfg-options', 'a.b=2', 'root=z', '--launcher', 'mpi')
    cfg = read_config(args)
    assert cfg.a.b == 2
    assert cfg.list == ['z/y']
    assert cfg.launcher == 'mpi'


@pytest.mark.parametrize('option', ['--local_rank', '--local-rank'])
def test_local_rank(path, option):
    read_config(parse(path, option, '3'))
    assert os.environ['LOCAL_RANK'] == '3'


def test_local_rank_of_the_environment_wins(path, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '5')
    read_config(parse(path))
    assert os.environ['LOCAL_RANK'] == '5'


@pytest.mark.parametrize('launcher', ['slurm', 'mpi'])
def test_launchers_with_ranks_of_their_own(path, launcher):
    read_config(parse(path, '--launcher', launcher))
    assert 'LOCAL_RANK' not in os.environ


def test_unknown_launcher(path, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(path, '--launcher', 'magic')
    assert stop.value.code == 2
    assert "'magic'" in capsys.readouterr().err


def stand_in(cfg):
    """Return what has the parts of a runner that are asked for."""
    return SimpleNamespace(
        cfg=cfg,
        hooks=[],
        register_hook=lambda hook: None,
        build_train_loop=None,
    )


def test_build_runner(monkeypatch):
    monkeypatch.setattr(Runner, 'from_cfg', stand_in)
    cfg = Config(dict(launcher='none'))
    assert build_runner(cfg).cfg is cfg


def test_build_runner_of_another_type(monkeypatch):
    monkeypatch.setattr(RUNNERS, 'build', stand_in)
    cfg = Config(dict(launcher='none', runner_type='MyRunner'))
    assert build_runner(cfg).cfg is cfg


def test_distributed_start_comes_first(monkeypatch):
    order = []
    monkeypatch.setattr(
        'mmwsl.apis.command_line.setup_cpu_distributed',
        lambda cfg: order.append('start'),
    )
    monkeypatch.setattr(
        Runner, 'from_cfg', lambda cfg: order.append('runner') or stand_in(cfg)
    )
    build_runner(Config(dict(launcher='pytorch')))
    assert order == ['start', 'runner']


def test_counts_are_compared_with_those_of_the_training_set(monkeypatch):
    data = dict(type='ToyDataset', num_images=3)
    metric = dict(type='CountMetric')
    cfg = Config(
        dict(
            train_dataloader=dict(dataset=data),
            val_evaluator=[dict(type='MultiLabelMetric'), metric],
            test_evaluator=dict(metric, baseline=[1, 2]),
        )
    )
    monkeypatch.setattr(Runner, 'from_cfg', stand_in)
    found = build_runner(cfg).cfg
    assert found.val_evaluator[1].baseline == data
    assert found.test_evaluator.baseline == [1, 2]


@pytest.mark.parametrize('text', ['model', 'a=[1,2', 'a=(1,2'])
def test_options_that_are_none_are_named(text, capsys):
    parser = runner_parser('Train')
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(['config.py', '--cfg-options', 'b=1', text])
    assert stop.value.code == 2
    assert repr(text) in capsys.readouterr().err


VARIABLES = (
    'RANK',
    'LOCAL_RANK',
    'WORLD_SIZE',
    'LOCAL_WORLD_SIZE',
    'MASTER_ADDR',
    'MASTER_PORT',
    'OMP_NUM_THREADS',
    'SLURM_NNODES',
)


@pytest.fixture
def started(monkeypatch):
    """Process groups that would have been started, and a clean slate."""
    for name in VARIABLES:
        # Set first, so that what the function sets is undone as well.
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    calls = []
    monkeypatch.setattr(
        command_line.dist,
        'init_process_group',
        lambda *args, **kwargs: calls.append((args, kwargs)),
    )
    monkeypatch.setattr(command_line, 'get_device', lambda: 'cpu')
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 8)
    monkeypatch.setattr(torch, 'set_num_threads', calls.append)
    return calls


@pytest.mark.parametrize('cfg', [{}, {'launcher': 'none'}])
def test_nothing_without_launcher(started, cfg):
    config = Config(cfg)
    setup_cpu_distributed(config)
    assert not started
    assert 'model_wrapper_cfg' not in config


def test_nothing_with_an_accelerator(started, monkeypatch):
    monkeypatch.setattr(command_line, 'get_device', lambda: 'cuda')
    config = Config(dict(launcher='pytorch'))
    setup_cpu_distributed(config)
    assert not started
    assert 'model_wrapper_cfg' not in config


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_missing_environment(started, launcher):
    for name in ('SLURM_PROCID', 'OMPI_COMM_WORLD_RANK'):
        assert name not in os.environ
    with pytest.raises(ValueError, match=launcher) as error:
        setup_cpu_distributed(Config(dict(launcher=launcher)))
    assert "['RANK', 'WORLD_SIZE']" in str(error.value)
    assert 'dist_train.sh' in str(error.value)
    assert not started


@pytest.mark.parametrize(
    ('launcher', 'environment'),
    [
        ('pytorch', ('RANK', 'LOCAL_RANK', 'WORLD_SIZE')),
        ('slurm', ('SLURM_PROCID', 'SLURM_LOCALID', 'SLURM_NTASKS')),
        (
            'mpi',
            (
                'OMPI_COMM_WORLD_RANK',
                'OMPI_COMM_WORLD_LOCAL_RANK',
                'OMPI_COMM_WORLD_SIZE',
            ),
        ),
    ],
)
def test_environment_of_launchers(started, monkeypatch, launcher, environment):
    for name, value in zip(environment, '314'):
        monkeypatch.setenv(name, value)
    setup_cpu_distributed(Config(dict(launcher=launcher)))
    assert [os.environ[n] for n in VARIABLES[:3]] == ['3', '1', '4']
    assert os.environ['MASTER_ADDR'] == '127.0.0.1'
    assert os.environ['MASTER_PORT'] == '29500'
    (args, kwargs), threads = started
    assert args == ('gloo',)
    assert kwargs['timeout'] == datetime.timedelta(seconds=1800)
    # Four processes share the eight threads.
    assert threads == 2


def _start(monkeypatch, cfg):
    monkeypatch.setenv('RANK', '0')
    monkeypatch.setenv('WORLD_SIZE', '1')
    config = Config(dict(launcher='pytorch', **cfg))
    setup_cpu_distributed(config)
    return config


def test_wrapper_without_devices(started, monkeypatch):
    wrapper = _start(monkeypatch, {}).model_wrapper_cfg
    assert wrapper.type == 'MMDistributedDataParallel'
    assert wrapper.get('device_ids') is None
    assert wrapper.broadcast_buffers is False


def test_config_has_the_last_word(started, monkeypatch):
    cfg = dict(
        model_wrapper_cfg=dict(find_unused_parameters=True),
        env_cfg=dict(dist_cfg=dict(timeout=7)),
    )
    wrapper = _start(monkeypatch, cfg).model_wrapper_cfg
    assert wrapper.find_unused_parameters is True
    assert wrapper.type == 'MMDistributedDataParallel'
    assert started[0][1]['timeout'] == datetime.timedelta(seconds=7)


def test_threads_that_the_user_set(started, monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '3')
    _start(monkeypatch, {})
    # The process group alone: the number of threads is left as it is.
    assert len(started) == 1


def test_several_nodes_need_an_address(started, monkeypatch):
    for name in ('SLURM_PROCID', 'SLURM_LOCALID'):
        monkeypatch.setenv(name, '0')
    for name in ('SLURM_NTASKS', 'SLURM_NNODES'):
        monkeypatch.setenv(name, '2')
    config = Config(dict(launcher='slurm'))
    with pytest.raises(ValueError, match=r"\['MASTER_ADDR'\]"):
        setup_cpu_distributed(config)
    assert not started
    monkeypatch.setenv('MASTER_ADDR', 'node1')
    setup_cpu_distributed(config)
    assert os.environ['MASTER_ADDR'] == 'node1'


def test_launcher_wins_over_an_older_environment(started, monkeypatch):
    monkeypatch.setenv('RANK', '9')
    monkeypatch.setenv('SLURM_PROCID', '3')
    monkeypatch.setenv('SLURM_NTASKS', '4')
    setup_cpu_distributed(Config(dict(launcher='slurm')))
    assert os.environ['RANK'] == '3'


def test_group_that_runs_is_left_alone(started, monkeypatch):
    monkeypatch.setattr(command_line.dist, 'is_initialized', lambda: True)
    _start(monkeypatch, {})
    assert started == [8]


def test_help_shows_defaults_that_say_something():
    parser = ToolParser('First line.\n\nMore.')
    part = parser.add_subparsers().add_parser('part')
    for target in (parser, part):
        target.add_argument('--size', type=int, default=0, help='of a thing')
        target.add_argument('--rates', nargs=2, default=(0.5, 2))
        target.add_argument('--flag', action='store_true', help='a flag')
        target.add_argument('--name', help='a name')
        text = ' '.join(target.format_help().split())
        assert '--size SIZE of a thing (default: 0)' in text
        assert 'default: (0.5, 2)' in text
        assert text.count('default') == 2
    assert 'First line.' in parser.format_help()
    assert 'More' not in parser.format_help()


def test_options_are_what_their_defaults_are(capsys):
    parser = ToolParser('Count', stopped='go on later')
    for name, default in (
        ('--flag', False),
        ('--text', None),
        ('--number', 3),
        ('--rates', (0.5, 2.0)),
        ('--names', ['a']),
    ):
        parser.option(name, default)
    parser.split('val')
    found = []
    main = parser.command(found.append)
    assert main([]) == 0
    assert vars(found[0]) == dict(
        flag=False, text=None, number=3, rates=(0.5, 2.0), names=['a'],
        split='val',
    )  # fmt: skip
    line = '--flag --text x --number 4 --rates 1 2 --names b c --split test'
    assert main(line.split()) == 0
    assert vars(found[1]) == dict(
        flag=True, text='x', number=4, rates=[1, 2], names=['b', 'c'],
        split='test',
    )  # fmt: skip
    assert parser.command(lambda args: 7)([]) == 7

    def fail(args):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit, match='130'):
        parser.command(fail)([])
    assert capsys.readouterr().err == 'go on later\n'


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize('number', [None, 200])
def test_progress_in_a_file(monkeypatch, capsys, number):
    seconds = iter(range(0, 100000, 2))
    monkeypatch.setattr(time, 'monotonic', lambda: next(seconds))
    items = range(200) if number is None else iter(range(200))
    assert list(with_progress(items, number)) == list(range(200))
    lines = capsys.readouterr().err.splitlines()
    # One every 30 of 400 seconds.
    assert lines[0] == '15 of 200 (8%), ETA 0:06:10'
    assert lines[-1] == '195 of 200 (98%), ETA 0:00:10'
    assert len(lines) == 13


def test_progress_of_short_and_empty_loops(capsys):
    assert list(with_progress([1, 2])) == [1, 2]
    assert list(with_progress([])) == []
    assert capsys.readouterr().err == ''


def test_progress_on_a_terminal(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr('sys.stderr', screen)
    assert list(with_progress([1, 2])) == [1, 2]
    assert '2/2' in screen.getvalue()
    assert 'ETA' in screen.getvalue()


# Prints the page faults of allocating and freeing 64 MB nine times, before
# and after the call; the first time after it fills the heap.
PROGRAM = """
import ctypes, resource
from mmwsl.apis import keep_freed_memory
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]

def faults():
    start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(9):
        block = libc.malloc(ctypes.c_size_t(64 << 20))
        ctypes.memset(block, 1, 64 << 20)
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start

before = faults()
assert keep_freed_memory()
faults()
print(before, faults())
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not sys.platform.startswith('linux'), reason='for glibc only'
)
def test_freed_memory_is_reused():
    line = [sys.executable, '-c', PROGRAM]
    before, after = subprocess.check_output(line, text=True).split()[-2:]
    assert int(after) * 10 < int(before)


@pytest.mark.parametrize(
    ('text', 'short'),
    [
        ('paramwise_options -- backbone.net.conv.weight:lr=0.1', False),
        ('a.weight is skipped since its requires_grad=False', False),
        ('Config:\na = 1', False),
        ('Checkpoints will be saved to a.', True),
    ],
)
def test_the_console_says_nothing_of_each_parameter(text, short):
    record = logging.makeLogRecord(dict(msg=text))
    assert command_line._is_short(record) is short


def test_nothing_happens_with_an_accelerator(monkeypatch):
    monkeypatch.setattr('mmwsl.apis.command_line.get_device', lambda: 'cuda')
    assert keep_freed_memory() is False


def test_names_the_newest_checkpoint(tmp_path):
    assert not mend_last_checkpoint(tmp_path)
    assert not list(tmp_path.iterdir())
    for number, name in enumerate(('epoch_10', 'epoch_9', 'best_x_epoch_8')):
        torch.save({}, tmp_path / f'{name}.pth')
        os.utime(tmp_path / f'{name}.pth', (100 - number, 100 - number))
    path = tmp_path / 'last_checkpoint'
    newest = str(tmp_path / 'epoch_10.pth')
    # Nothing written yet, and half a name.
    for content in ('', newest[:-5]):
        path.write_text(content)
        assert mend_last_checkpoint(tmp_path)
        assert path.read_text() == newest
    # What is whole stays.
    path.write_text(str(tmp_path / 'epoch_9.pth'))
    assert mend_last_checkpoint(tmp_path)
    assert path.read_text().endswith('epoch_9.pth')


def test_iterations_and_nothing(tmp_path):
    path = tmp_path / 'last_checkpoint'
    path.write_text('')
    assert not mend_last_checkpoint(tmp_path)
    assert not path.exists()
    torch.save({}, tmp_path / 'iter_5.pth')
    path.write_text('')
    mend_last_checkpoint(tmp_path)
    assert path.read_text() == str(tmp_path / 'iter_5.pth')


def test_half_a_checkpoint(tmp_path):
    """Killed while the only checkpoint was replaced."""
    torch.save(dict(weight=torch.ones(99)), tmp_path / 'epoch_3.pth')
    content = (tmp_path / 'epoch_3.pth').read_bytes()
    (tmp_path / 'epoch_3.pth').write_bytes(content[:-30])
    path = tmp_path / 'last_checkpoint'
    path.write_text(str(tmp_path / 'epoch_2.pth'))
    mend_last_checkpoint(tmp_path)
    assert not path.exists()
    (tmp_path / 'epoch_1.pth').write_bytes(content)
    path.write_text(str(tmp_path / 'epoch_2.pth'))
    mend_last_checkpoint(tmp_path)
    assert path.read_text() == str(tmp_path / 'epoch_1.pth')
