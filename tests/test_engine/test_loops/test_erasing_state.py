"""Tests of steps that end, and of runs that go on."""

import pytest
import torch

from erasing_run import (
    EPOCHS,
    IDS,
    FakeLoss,
    Stop,
    erasing_config,
    make_runner,
    results,
)
from mmwsl.engine.loops.adversarial_erasing_loop import ErasingState
from mmwsl.utils.checkpoints import read_checkpoint

pytestmark = pytest.mark.filterwarnings('ignore')


def test_when_it_is_over():
    state = ErasingState(epochs=2)
    assert not state.over(2)
    state.losses, state.digests = [0.4], ['a']
    assert not state.over(2)
    assert state.over(1)
    # A step without regions was refused.
    state.losses = [0.4, 0.7]
    assert state.over(3)


def test_when_the_loss_jumps():
    state = ErasingState(epochs=2)
    assert not state.loss_jumped(100, 1.5)
    state.losses = [0.4, 2.0]
    assert state.loss_jumped(0.61, 1.5)
    assert not state.loss_jumped(0.6, 1.5)
    assert not state.loss_jumped(100, None)


@pytest.mark.parametrize('epoch', [1, 3, 4])
def test_resumed_run_ends_alike(tmp_path, whole, saliency, epoch):
    """Broken off inside the first and second step and behind the second."""
    cfg = erasing_config(tmp_path, saliency_dir=str(saliency))
    runner = make_runner(cfg)
    runner.register_hook(Stop(epoch))
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    cfg.resume = True
    make_runner(cfg).train()
    assert results(tmp_path) == results(whole[0])
    states = [
        read_checkpoint(folder / 'epoch_6.pth')['state_dict']
        for folder in (tmp_path, whole[0])
    ]
    assert all(torch.equal(states[1][k], v) for k, v in states[0].items())


def test_later_steps_do_not_hide_in_earlier_ones(tmp_path, whole, saliency):
    """A finished run that is taken up from an early checkpoint."""
    cfg = erasing_config(tmp_path, saliency_dir=str(saliency))
    make_runner(cfg).train()
    cfg.resume, cfg.load_from = True, str(tmp_path / 'epoch_3.pth')
    make_runner(cfg).train()
    assert results(tmp_path) == results(whole[0])


def test_stops_when_the_loss_jumps(tmp_path):
    cfg = erasing_config(tmp_path, stop_factor=1.5)
    runner = make_runner(cfg)
    runner.register_hook(FakeLoss([0.4, 0.61, 0.5]))
    runner.train()
    assert runner.epoch == 2 * EPOCHS
    assert not (tmp_path / 'labels').exists()
    folders = sorted(path.name for path in (tmp_path / 'regions').iterdir())
    assert folders == ['step_1', 'steps.csv', 'union']
    first, union = (
        (tmp_path / f'regions/{name}/{IDS[0]}.npz').read_bytes()
        for name in ('step_1', 'union')
    )
    assert first == union
    table = (tmp_path / 'regions/steps.csv').read_text().splitlines()
    assert table[1:] == ['1,0.400000,1', '2,0.610000,0']
    # Nothing is left to do for a run that is resumed.
    cfg.resume = True
    again = make_runner(cfg)
    again.train()
    assert again.epoch == 2 * EPOCHS


def test_goes_on_below_the_factor(tmp_path):
    cfg = erasing_config(tmp_path, stop_factor=1.6)
    cfg.train_cfg.mode = 'relative'
    runner = make_runner(cfg)
    runner.register_hook(FakeLoss([0.4, 0.61, 0.63]))
    runner.train()
    assert len(list((tmp_path / 'regions').glob('step_*'))) == 3
    assert runner.train_loop.state.losses == pytest.approx([0.4, 0.61, 0.63])


def broken(tmp_path, epoch):
    """Break a run off and return its config for another one."""
    cfg = erasing_config(tmp_path)
    runner = make_runner(cfg)
    runner.register_hook(Stop(epoch))
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    cfg.resume = True
    return cfg


def test_refuses_to_resume_without_its_files(tmp_path):
    cfg = broken(tmp_path, 3)
    path = tmp_path / f'regions/step_1/{IDS[2]}.npz'
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(FileNotFoundError, match='1 of 8 images.*000002'):
        make_runner(cfg).train()
    path.write_bytes((path.parent / '000001.npz').read_bytes())
    with pytest.raises(ValueError, match='step_1: these are not'):
        make_runner(cfg).train()
    path.write_bytes(content)
    (tmp_path / 'initial_weights.pth').write_bytes(b'')
    with pytest.raises(ValueError, match='initial_weights'):
        make_runner(cfg).train()
    (tmp_path / 'initial_weights.pth').unlink()
    with pytest.raises(FileNotFoundError, match='initial_weights'):
        make_runner(cfg).train()
    cfg.train_cfg.epochs = 4
    with pytest.raises(ValueError, match='epochs=4'):
        make_runner(cfg).train()
