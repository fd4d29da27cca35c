"""A killed run that is resumed ends where an uninterrupted one does."""

import os
import signal
import subprocess
import time

import torch

from toy_run import CONFIG, SMALL, command, metrics, run

EPOCHS = ['train_cfg.max_epochs=4', 'train_dataloader.num_workers=1']


def _train(work_dir, *args):
    options = ['--work-dir', str(work_dir), '--cfg-options', *SMALL, *EPOCHS]
    return command('train.py', CONFIG, *args, *options)


def _kill_after_first_checkpoint(work_dir):
    process = subprocess.Popen(
        _train(work_dir),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ, OMP_NUM_THREADS='1'),
        start_new_session=True,
    )
    try:
        while not (work_dir / 'last_checkpoint').is_file():
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_kill_and_resume(tmp_path):
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    run(_train(whole))
    _kill_after_first_checkpoint(broken)
    assert not (broken / 'epoch_4.pth').exists()
    run(_train(broken, '--resume'))
    expected, found = metrics(whole)[-1], metrics(broken)[-1]
    assert expected['step'] == found['step'] == 4
    assert expected == found
    states = [
        torch.load(folder / 'epoch_4.pth')['state_dict']
        for folder in (whole, broken)
    ]
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key
