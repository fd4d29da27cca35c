"""Two processes on the CPU do the work of one."""

import socket
import sys

import pytest

from toy_run import CONFIG, ROOT, SMALL, command, run, scalars, test_metrics

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


def test_same_first_loss_and_same_metrics(tmp_path):
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

    checkpoint = str(one / 'epoch_1.pth')
    options = ['--cfg-options', *SMALL, 'test_dataloader.dataset.num_images=9']
    for path, make in ((one, command), (two, _two_processes)):
        run(
            make(
                'test.py',
                CONFIG,
                checkpoint,
                '--work-dir',
                str(path / 'test'),
                *options,
            )
        )
    assert test_metrics(one / 'test') == pytest.approx(
        test_metrics(two / 'test'), rel=1e-6
    )
