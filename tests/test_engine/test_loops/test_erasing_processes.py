"""Adversarial erasing by killed and by several processes."""

import os
import signal
import subprocess
import time

import pytest

from erasing_run import erasing_config, results, write_saliency
from test_distributed import _two_processes
from toy_run import command, run, scalars


def write_config(path, work_dir, **loop):
    saliency = path.parent / 'saliency'
    write_saliency(saliency)
    cfg = erasing_config(
        work_dir, workers=1, saliency_dir=str(saliency), **loop
    )
    cfg.default_hooks.logger.interval = 1
    return cfg


def kill_when(line, path, content=''):
    """Start a command and kill it as soon as a file exists and holds that."""
    process = subprocess.Popen(
        line,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ, OMP_NUM_THREADS='1'),
        start_new_session=True,
    )
    try:
        while not (path.is_file() and content in path.read_text('latin1')):
            assert process.poll() is None
            time.sleep(0.002)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_kill_and_resume(tmp_path):
    """Killed inside the second step, then while regions are written."""
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    config = tmp_path / 'config.py'
    write_config(config, whole).dump(str(config))
    run(command('train.py', str(config)))
    line = command('train.py', str(config), '--work-dir', str(broken))
    kill_when(line, broken / 'last_checkpoint', 'epoch_3.pth')
    assert not (broken / 'regions/step_2').exists()
    line.append('--resume')
    kill_when(line, broken / 'regions/step_2/toy/0/000002.npz')
    assert not (broken / 'regions/step_3').exists()
    run(line)
    expected, found = results(whole), results(broken)
    assert len(expected) == 4 * 8 + 8 + 1
    assert found == expected


@pytest.mark.slow
def test_two_processes_find_the_same_regions(tmp_path):
    """Without learning, as sums in another order would round otherwise."""
    one, two = tmp_path / 'one', tmp_path / 'two'
    config = tmp_path / 'config.py'
    cfg = write_config(config, one, num_steps=2)
    cfg.optim_wrapper.optimizer.lr = 0.0
    cfg.param_scheduler = []
    cfg.model.backbone.norm_eval = True
    # An odd number of images over two processes.
    datasets = (
        cfg.train_dataloader.dataset,
        cfg.train_cfg.predict_dataloader.dataset,
    )
    for dataset in datasets:
        dataset.num_images = 7
    cfg.dump(str(config))
    run(command('train.py', str(config)))
    options = ['--cfg-options', 'train_dataloader.batch_size=2']
    line = ['train.py', str(config), '--work-dir', str(two), *options]
    run(_two_processes(*line))
    expected, found = results(one), results(two)
    table = expected.pop('regions/steps.csv'), found.pop('regions/steps.csv')
    assert len(expected) == 4 * 7
    assert found == expected
    ends = [scalars(path)[-1] for path in (one, two)]
    assert ends[0]['foreground'] == ends[1]['foreground'] > 0
    assert ends[0]['labelled'] == ends[1]['labelled']
    # One of the images that fill up the last batch may be another.
    numbers = [[float(x.split(b',')[1]) for x in t.split()[1:]] for t in table]
    assert numbers[0] == pytest.approx(numbers[1], rel=0.05)
