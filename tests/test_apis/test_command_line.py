"""Options that the train and the test command share."""

import os
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmwsl.apis import (
    build_runner,
    parse_runner_args,
    read_config,
    runner_parser,
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
    return parse_runner_args(runner_parser('text'), [str(a) for a in args])


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
    parse(path, option, '3')
    assert os.environ['LOCAL_RANK'] == '3'


def test_local_rank_of_the_environment_wins(path, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '5')
    parse(path)
    assert os.environ['LOCAL_RANK'] == '5'


@pytest.mark.parametrize('launcher', ['slurm', 'mpi'])
def test_launchers_with_ranks_of_their_own(path, launcher):
    parse(path, '--launcher', launcher)
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
