"""Process groups on machines without a GPU."""

import datetime
import os

import pytest
import torch
from mmengine.config import Config

from mmwsl.apis import distributed, setup_cpu_distributed

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
        distributed.dist,
        'init_process_group',
        lambda *args, **kwargs: calls.append((args, kwargs)),
    )
    monkeypatch.setattr(distributed, 'get_device', lambda: 'cpu')
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
    monkeypatch.setattr(distributed, 'get_device', lambda: 'cuda')
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
    monkeypatch.setattr(distributed.dist, 'is_initialized', lambda: True)
    _start(monkeypatch, {})
    assert started == [8]
