"""The shell scripts that start train.py and test.py in several processes."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import List

import pytest

from forks import free_port

pytestmark = pytest.mark.slow

DIST = (
    '-m torch.distributed.run --nnodes=1 --node_rank=0 '
    '--master_addr=127.0.0.1 --master_port=29500 --nproc_per_node=2'
)
SLURM = (
    '-p long --job-name=cam --gres=gpu:4 --ntasks=4 --ntasks-per-node=4 '
    '--cpus-per-task=5 --kill-on-bad-exit=1 --mem 8G echo -u'
)


def run(
    root: Path, script: str, arguments: List[str], **env: str
) -> subprocess.CompletedProcess:
    """Run a script of ``tools`` from another folder."""
    return subprocess.run(
        ['bash', str(root / 'tools' / script), *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ('script', 'arguments'),
    [
        ('dist_train.sh', ['CONFIG']),
        ('dist_test.sh', ['CONFIG', 'CHECKPOINT']),
        ('slurm_train.sh', ['PARTITION', 'JOB']),
        ('slurm_test.sh', ['PARTITION', 'JOB', 'CONFIG']),
    ],
)
def test_launchers_explain_themselves(
    repo_root: Path, script: str, arguments: List[str]
) -> None:
    result = run(repo_root, script, arguments)
    assert result.returncode == 2
    assert result.stderr.startswith('usage: ')


@pytest.mark.parametrize(
    ('script', 'arguments', 'started', 'options'),
    [
        ('dist_train.sh', 'a.py 2', 'train.py a.py', DIST),
        ('dist_test.sh', 'a.py b.pth 2', 'test.py a.py b.pth', DIST),
        ('slurm_train.sh', 'long cam a.py', 'train.py a.py', SLURM),
        ('slurm_test.sh', 'long cam a.py b.pth', 'test.py a.py b.pth', SLURM),
    ],
)
def test_launchers_pass_everything_on(
    repo_root: Path,
    tmp_path: Path,
    script: str,
    arguments: str,
    started: str,
    options: str,
) -> None:
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\necho "$@"\n')
    srun.chmod(0o755)
    result = run(
        repo_root,
        script,
        [*arguments.split(), '--cfg-options', 'x=a b'],
        PYTHON='echo',
        GPUS='4',
        SRUN_ARGS='--mem 8G',
        PATH=f'{tmp_path}{os.pathsep}{os.environ["PATH"]}',
    )
    launcher = 'pytorch' if script.startswith('dist') else 'slurm'
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == (
        f'{options} {repo_root}/tools/{started} --cfg-options x=a b '
        f'--launcher {launcher}'
    )


@pytest.mark.skipif(
    not sys.platform.startswith('linux'), reason='groups of processes'
)
def test_sigterm_ends_the_trainers(repo_root: Path, tmp_path: Path) -> None:
    for name in ('dist_train.sh', 'launch.sh'):
        shutil.copy(repo_root / 'tools' / name, tmp_path)
    (tmp_path / 'train.py').write_text(
        'import os, time\nopen(f"{os.getpid()}.pid", "w").close()\n'
        'time.sleep(60)\n'
    )
    process = subprocess.Popen(
        ['bash', 'dist_train.sh', 'CONFIG', '2'],
        cwd=tmp_path,
        env={**os.environ, 'PYTHON': sys.executable, 'PORT': str(free_port())},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 60
    while len(pids := list(tmp_path.glob('*.pid'))) < 2:
        assert time.monotonic() < end
        time.sleep(0.05)
    process.terminate()
    assert process.wait(60) != 0
    for path in pids:
        assert not Path('/proc', path.stem).exists()
