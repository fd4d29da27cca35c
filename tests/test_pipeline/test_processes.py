import os
import signal
import subprocess
import sys
import time

import pytest
from filelock import FileLock

from mmwsl.pipeline import run_pipeline
from mmwsl.pipeline.running import last_error, run_logged
from pipeline_files import WRITER, read

LINUX = pytest.mark.skipif(
    not sys.platform.startswith('linux'), reason='only Linux can'
)


def python(code):
    return [sys.executable, '-c', code]


def test_output_goes_to_both(tmp_path, capsys):
    log = tmp_path / 'log.txt'
    log.write_text('first\n')
    code = "import sys; print('ä'); print('b', file=sys.stderr); sys.exit(3)"
    assert run_logged(python(code), str(log)) == 3
    assert sorted(capsys.readouterr().out.splitlines()) == ['b', 'ä']
    assert sorted(log.read_text(encoding='utf-8').splitlines()) == [
        'b',
        'first',
        'ä',
    ]


def test_signal(tmp_path):
    code = 'import os, signal; os.kill(os.getpid(), signal.SIGKILL)'
    log = str(tmp_path / 'log.txt')
    assert run_logged(python(code), log) == -signal.SIGKILL


@LINUX
def test_a_stage_dies_with_the_pipeline(tmp_path):
    stage = tmp_path / 'stage.py'
    stage.write_text(
        'import os, sys, time\n'
        "open(sys.argv[1], 'w').write(str(os.getpid()))\n"
        'time.sleep(60)\n'
    )
    code = (
        'import sys\n'
        'from mmwsl.pipeline.running import run_logged\n'
        'run_logged([sys.executable, *sys.argv[1:3]], sys.argv[3])\n'
    )
    pid_file = tmp_path / 'pid'
    line = [*python(code), stage, pid_file, tmp_path / 'log.txt']
    pipeline = subprocess.Popen(line)
    try:
        wait_for(lambda: pid_file.exists() and pid_file.read_text())
    finally:
        pipeline.kill()
        pipeline.wait()
    pid = int(pid_file.read_text())
    wait_for(lambda: not runs(pid))


def runs(pid):
    """Whether a process is there and no zombie."""
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_one_at_a_time(tmp_path):
    pipeline = read(tmp_path, [WRITER])
    os.makedirs(pipeline.work_dir)
    lock = FileLock(os.path.join(pipeline.work_dir, '.lock'))
    message = f'{pipeline.work_dir}: another pipeline is running'
    with lock, pytest.raises(OSError, match=message):
        run_pipeline(pipeline)
    run_pipeline(pipeline)
    # Also after it.
    run_pipeline(pipeline)


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('', ''),
        ('a\n\nValueError: b\n \n', 'ValueError: b'),
        ('error: x\nerror: y z\n(set MMWSL)\n', 'y z'),
        ('error: x\n' + 'a\n' * 20000, 'a'),
    ],
)
def test_last_error(tmp_path, text, expected):
    (tmp_path / 'log.txt').write_text(text)
    assert last_error(str(tmp_path / 'log.txt')) == expected
