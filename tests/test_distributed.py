"""Two processes on the CPU do the work of one."""

import socket
import sys

import pytest

from toy_run import (
    CONFIG,
    ROOT,
    SMALL,
    command,
    metrics,
    run,
    scalars,
    test_metrics,
)

pytestmark = pytest.mark.slow

# Batch statistics would differ between one batch and its halves.
FIXED_NORM = ['model.backbone.norm_eval=True']


def _two_processes(tool, *args):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    launch = ['-m', 'torch.distributed.run', '--nproc_per_node=2']
    return [
        sys.executable,
        *launch,
        f'--master_port={port}',
        str(ROOT / 'tools' / tool),
        *args,
        '--launcher',
        'pytorch',
    ]


def test_same_losses_as_one_process(tmp_path):
    one, two = tmp_path / 'one', tmp_path / 'two'
    options = ['--cfg-options', *SMALL, *FIXED_NORM, 'train_cfg.max_epochs=1']
    run(command('train.py', CONFIG, '--work-dir', str(one), *options))
    options.append('train_dataloader.batch_size=4')
    run(_two_processes('train.py', CONFIG, '--work-dir', str(two), *options))
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
    run(_two_processes('train.py', CONFIG, '--work-dir', str(two), *options))
    checkpoint = str(two / 'epoch_1.pth')
    # Validation in training saw the model that the checkpoint holds.
    options = ['--cfg-options', *SMALL]
    run(
        command(
            'test.py', CONFIG, checkpoint, '--work-dir', str(one), *options
        )
    )
    found = test_metrics(one)
    (validated,) = metrics(two)
    assert {key: validated[key] for key in found} == pytest.approx(found)

    # An odd number of images over two processes.
    options.append('test_dataloader.dataset.num_images=9')
    paths = []
    for name, make in (('nine_one', command), ('nine_two', _two_processes)):
        paths.append(tmp_path / name)
        work_dir = ['--work-dir', str(paths[-1])]
        run(make('test.py', CONFIG, checkpoint, *work_dir, *options))
    assert test_metrics(paths[0]) == pytest.approx(test_metrics(paths[1]))
