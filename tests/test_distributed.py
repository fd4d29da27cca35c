"""Two processes on the CPU do the work of one."""

import os
import subprocess
import sys

import pytest

from forks import free_port, run_in_two, run_tool
from toy_run import CONFIG, ROOT, SMALL, metrics, scalars, test_metrics

pytestmark = pytest.mark.slow

# Batch statistics would differ between one batch and its halves.
FIXED_NORM = ['model.backbone.norm_eval=True']


def test_same_losses_as_one_process(tmp_path):
    """By torchrun and the command that users type."""
    one, two = tmp_path / 'one', tmp_path / 'two'
    options = ['--cfg-options', *SMALL, *FIXED_NORM, 'train_cfg.max_epochs=1']
    run_tool(tmp_path, 'train.py', CONFIG, '--work-dir', one, *options)
    options.append('train_dataloader.batch_size=4')
    launch = ['-m', 'torch.distributed.run', '--nproc_per_node=2']
    launch += [f'--master_port={free_port()}', str(ROOT / 'tools/train.py')]
    launched = ['--launcher', 'pytorch', '--work-dir', str(two), *options]
    subprocess.run(
        [sys.executable, *launch, CONFIG, *launched],
        env=dict(os.environ, OMP_NUM_THREADS='1'),
        check=True,
    )
    losses = [
        [entry['loss'] for entry in scalars(path) if 'loss' in entry]
        for path in (one, two)
    ]
    assert len(losses[0]) == len(losses[1]) == 3
    assert losses[1][0] == pytest.approx(losses[0][0], rel=1e-5)
    # Gradients are averaged, so the later steps agree as well.
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_same_metrics_whatever_the_number_of_processes(tmp_path):
    """Training with batch statistics of its own in each process."""
    one, two = tmp_path / 'one', tmp_path / 'two'
    options = ['--cfg-options', *SMALL, 'train_cfg.max_epochs=1']
    options.append('train_dataloader.batch_size=4')
    run_in_two(tmp_path, 'train.py', CONFIG, '--work-dir', two, *options)
    checkpoint = two / 'epoch_1.pth'
    # Validation in training saw the model that the checkpoint holds.
    test = ['test.py', CONFIG, checkpoint, '--cfg-options', *SMALL]
    run_tool(tmp_path, *test, '--work-dir', one)
    found = test_metrics(one)
    (validated,) = metrics(two)
    assert {key: validated[key] for key in found} == pytest.approx(found)

    # An odd number of images over two processes.
    test.append('test_dataloader.dataset.num_images=9')
    paths = []
    for name, run in (('nine_one', run_tool), ('nine_two', run_in_two)):
        paths.append(tmp_path / name)
        run(tmp_path, *test, '--work-dir', paths[-1])
    assert test_metrics(paths[0]) == pytest.approx(test_metrics(paths[1]))
