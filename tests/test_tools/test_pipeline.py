"""The command that runs the stages of a method."""

import json
import os
import signal
import sys
import time

import cv2
import numpy as np
import pytest
import torch
import torchvision

from pipeline_files import TRAINING, WRITER, run, summary, write_pipeline
from pipeline_files import write_tools as write_scripts
from tool_calls import NO_WORKERS, ROOT, call, error
from toy_run import CONFIG, SMALL

# Writes ten files, and skips those that are there; told to stop at one of
# them, it waits to be killed there.
SLOW = """
import pathlib, sys, time
folder, stop = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
folder.mkdir(exist_ok=True)
for number in range(10):
    if number == 5 and stop.exists():
        print('half', flush=True)
        time.sleep(60)
    path = folder / f'{number}.txt'
    if path.exists():
        print('kept', number)
        continue
    path.write_text(str(number))
"""


@pytest.fixture
def path(tmp_path):
    """A pipeline of two stages; its tools are named by whole paths."""
    scripts = write_scripts(tmp_path)
    write = str(scripts / 'write.py')
    return write_pipeline(
        tmp_path,
        [
            {**WRITER, 'tool': write},
            dict(
                name='two',
                run='tool',
                tool=write,
                args=['{dir}/b.txt', '{one.dir}'],
            ),
        ],
    )


def slow_stages(tmp_path):
    (tmp_path / 'slow.py').write_text(SLOW)
    slow = dict(
        name='slow',
        run='tool',
        tool=str(tmp_path / 'slow.py'),
        args=['{dir}/files', str(tmp_path / 'stop')],
    )
    after = {**WRITER, 'args': ['{dir}/text.txt', '{slow.dir}']}
    return [TRAINING, slow, after]


def made(folder):
    """All that the stages made, without logs, times and paths."""
    return {
        str(path.relative_to(folder)): path.read_text().replace(
            str(folder), ''
        )
        for path in folder.rglob('*')
        if path.suffix in ('.txt', '.pth')
        and path.name not in ('log.txt', 'summary.txt')
    }


def test_options(tool, path, capsys):
    work = path.parent / 'w'
    args = [path, '--work-dir', work]
    assert call(tool, *args, '--dry-run') == 0
    assert not work.exists()
    assert '[2/2] two: runs\n' in capsys.readouterr().out
    assert call(tool, *args, '--to', 'one', '--cfg-options', 'word=b') == 0
    assert (work / 'one/text.txt').read_text() == 'b\n'
    assert not (work / 'two').exists()
    assert call(tool, *args, '--from', 'two') == 0
    assert summary(work)['two']['metrics'] == {'lines': 1}
    printed = capsys.readouterr().out
    assert (work / 'summary.txt').read_text() in printed
    assert f'pictures: {work}/index.html' in printed
    assert (work / 'index.html').is_file()


def test_one_line_of_error(tool, path, capsys):
    args = [path, '--work-dir', path.parent / 'w']
    for more, message in (
        (['--from', 'three'], '--from three: '),
        (['--to', 'no'], 'has no such stage, only one, two'),
        (['--from', 'two'], "stage 'two' needs stage 'one'"),
        (['--cfg-options', 'wort=b'], 'its variables are word'),
    ):
        assert call(tool, *args, *more) == 1
        assert message in error(capsys.readouterr())
    assert call(tool, path.parent / 'none.py') == 1
    assert 'none.py: there is no such config' in error(capsys.readouterr())


def test_failed_stage(tool, path, capsys):
    write = path.parent / 'tools/write.py'
    write.write_text('import sys\nsys.exit("no disk")\n')
    work = path.parent / 'w'
    assert call(tool, path, '--work-dir', work) == 1
    assert error(capsys.readouterr()) == (
        "error: stage 'one' failed with exit code 1: no disk; its log is "
        f'{work}/one/log.txt'
    )


def test_interruption(tool, path, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(tool, 'run_pipeline', interrupt)
    assert call(tool, path, '--work-dir', path.parent / 'w') == 130
    assert 'the same command goes on' in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(
    not sys.platform.startswith('linux'), reason='stages outlive a kill'
)
def test_sigkill_in_a_stage(tmp_path):
    whole = run(tmp_path / 'whole', slow_stages(make(tmp_path / 'whole')))
    root = make(tmp_path / 'killed')
    stages = slow_stages(root)
    (root / 'stop').write_text('')
    pid = os.fork()
    if not pid:
        os.setsid()
        run(root, stages)
        os._exit(1)
    log = root / 'work/slow/log.txt'
    end = time.monotonic() + 60
    while not (log.is_file() and 'half\n' in log.read_text()):
        assert time.monotonic() < end
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9
    assert not (root / 'work/slow/stage.json').exists()
    (root / 'stop').unlink()
    folder = run(root, stages)
    assert 'kept 4\n' in log.read_text()
    assert made(folder) == made(whole)
    assert [x['state'] for x in summary(folder).values()] == [
        'kept',
        'done',
        'done',
    ]
    record = json.loads((folder / 'slow/stage.json').read_text())
    assert record['attempts'] == 2


def make(folder):
    """Create a folder and return it."""
    folder.mkdir()
    return folder


@pytest.mark.slow
def test_training_and_testing(tool, tmp_path, monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    options = dict(line.split('=') for line in (*SMALL, *NO_WORKERS))
    options = {
        key: json.loads(as_json(value)) for key, value in options.items()
    }
    options['train_cfg.max_epochs'] = 1
    options['train_dataloader.dataset.num_images'] = 8
    common = dict(config=CONFIG, cfg_options=options)
    path = write_pipeline(
        tmp_path,
        [
            dict(name='net', run='train', **common),
            dict(
                name='seeds',
                run='test',
                checkpoint='{net.checkpoint}',
                show_dir='{dir}/show',
                pictures='{dir}/show',
                **common,
            ),
        ],
        page=dict(number=2),
    )
    assert call(tool, path, '--work-dir', tmp_path / 'w') == 0
    found = summary(tmp_path / 'w')
    # The last evaluation of the training is that of the same weights.
    for key in ('mAP', 'mIoU'):
        assert found['net']['metrics'][key] == found['seeds']['metrics'][key]
    assert found['net']['metrics']['loss'] > 0
    assert found['seeds']['seconds'] > 0
    text = (tmp_path / 'w/index.html').read_text()
    assert text.count('<img ') == 2


@pytest.mark.slow
def test_from_a_folder_to_a_segmentor(tool, tmp_path, monkeypatch):
    """Images of two colours in class folders, one image without a label."""
    pytest.importorskip('mmseg')
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    rng = np.random.default_rng(0)
    for index, name in enumerate(('blue', 'green', 'unlabelled')):
        folder = tmp_path / 'data' / name
        folder.mkdir(parents=True)
        for number in range(5 if index < 2 else 1):
            image = rng.integers(0, 60, (48, 64, 3), np.uint8)
            image[10:40, 10:40, index % 2] = 250
            cv2.imwrite(str(folder / f'{number}.jpg'), image)
    weights = tmp_path / 'resnet18.pth'
    torch.save(torchvision.models.resnet18().state_dict(), weights)
    work = tmp_path / 'work'
    changes = dict(
        data_root=tmp_path / 'data', arch='resnet18', weights=weights, size=64
    )
    options = [f'{key}={value}' for key, value in changes.items()]
    for stage in ('classifier', 'segmentor'):
        options.append(f'{stage}.train_cfg.max_epochs=1')
    path = ROOT / 'configs/cam/pipeline_cam_own-data.py'
    args = [path, '--work-dir', work, '--cfg-options', *options]
    assert call(tool, *args) == 0
    states = {name: x['state'] for name, x in summary(work).items()}
    assert set(states.values()) == {'done'}
    assert list(states) == [
        'data',
        'classifier',
        'maps',
        'segmentor',
        'results',
    ]
    found = json.loads((work / 'data/data.json').read_text())
    assert found['classes'] == ['blue', 'green']
    assert (found['train'], found['val'], found['unlabelled']) == (8, 2, 1)
    # Images without boxes are predicted and not scored.
    assert (work / 'results/labels/unlabelled/0.png').is_file()
    assert len(list((work / 'results/labels').rglob('*.png'))) == 3
    assert 'mIoU' not in summary(work)['results']['metrics']
    assert '<img' in (work / 'index.html').read_text()


def as_json(value):
    """An option of the command line as JSON."""
    return {'False': 'false', 'True': 'true'}.get(value, value)
