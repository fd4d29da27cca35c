"""The command that runs the stages of a method."""

import json

import cv2
import numpy as np
import pytest
import torch
import torchvision

from forks import run_stage
from mmwsl.pipeline import running
from pipeline_files import WRITER, summary, write_pipeline
from pipeline_files import write_tools as write_scripts
from tool_calls import ROOT, call, error, fails


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
        assert message in fails(tool, capsys, *args, *more)
    assert call(tool, path.parent / 'none.py') == 1
    assert 'none.py: there is no such config' in error(capsys.readouterr())


def test_interruption(tool, path, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(tool, 'run_pipeline', interrupt)
    assert call(tool, path, '--work-dir', path.parent / 'w') == 130
    assert 'the same command goes on' in capsys.readouterr().err


@pytest.mark.slow
def test_from_a_folder_to_a_segmentor(tool, tmp_path, monkeypatch):
    """Images of two colours in class folders, one image without a label."""
    pytest.importorskip('mmseg')
    monkeypatch.setattr(running, 'run_logged', run_stage)
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
