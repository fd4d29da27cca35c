"""The command that scores mined regions."""

import json

import numpy as np
import pytest
from PIL import Image

from mmwsl.pseudo_labels.regions import write_regions
from tool_calls import call, error, fails


@pytest.fixture
def run(tmp_path):
    """A run of three steps, the last of which is left out."""
    root = tmp_path / 'regions'
    mask = np.array([[1, 1, 1, 1, 0]], np.uint8)
    (tmp_path / 'masks').mkdir()
    Image.fromarray(mask).save(tmp_path / 'masks/a.png')
    for step, start in ((1, 0), (2, 2)):
        region = np.zeros((1, 1, 5), bool)
        region[0, 0, start : start + 3] = True
        write_regions(str(root / f'step_{step}/a.npz'), region, np.array([0]))
    (root / 'steps.csv').write_text(
        'step,converged_loss,merged\n1,0.1,1\n2,0.2,1\n3,0.9,0\n'
    )
    return root


def test_scores(tool, run, tmp_path, capsys):
    args = (run, tmp_path / 'masks', '--classes', 'cat,dog')
    assert call(tool, *args, '--out', tmp_path / 'out.json') == 0
    printed = capsys.readouterr().out
    metrics = json.loads(printed.splitlines()[-1])
    assert metrics == json.loads((tmp_path / 'out.json').read_text())
    assert metrics == dict(
        loss_step_1=0.1,
        recall_step_1=75.0,
        loss_step_2=0.2,
        recall_step_2=50.0,
        loss_step_3=0.9,
        recall_union=100.0,
        precision_union=80.0,
        recall_gain=25.0,
    )
    assert 'left out' in printed


def test_images_of_a_list(tool, run, tmp_path, capsys):
    args = (run, tmp_path / 'masks', '--classes', 'cat,dog')
    for step in (1, 2):
        path = str(run / f'step_{step}/b.npz')
        write_regions(path, np.ones((1, 1, 5), bool), np.array([0]))
    assert 'b.png' in fails(tool, capsys, *args)
    names = tmp_path / 'list.txt'
    names.write_text('a\n')
    assert call(tool, *args, '--list', names) == 0
    assert '"recall_step_1": 75.0' in capsys.readouterr().out
    names.write_text('a\nc\n')
    assert call(tool, *args, '--list', names) == 1
    assert 'step_1: no file for 1 of 2 images' in error(capsys.readouterr())


def test_bad_input(tool, run, tmp_path, capsys):
    args = (run, tmp_path / 'masks', '--classes')
    Image.new('L', (4, 1)).save(tmp_path / 'masks/a.png')
    assert 'differ in size' in fails(tool, capsys, *args, 'cat,dog')
    (tmp_path / 'masks/a.png').unlink()
    assert 'a.png' in fails(tool, capsys, *args, 'cat,dog')
    (run / 'steps.csv').unlink()
    assert 'steps.csv: does not exist' in fails(tool, capsys, *args, 'cat,dog')


@pytest.mark.parametrize(
    ('value', 'message'),
    [(255, 'masks: no mask shows a class'), (3, 'a.npz: mask holds 3')],
)
def test_masks_of_other_values(tool, run, tmp_path, capsys, value, message):
    mask = np.array([[1, 1, 1, 1, 0]], np.uint8) * np.uint8(value)
    Image.fromarray(mask).save(tmp_path / 'masks/a.png')
    args = (run, tmp_path / 'masks', '--classes', 'cat,dog')
    assert message in fails(tool, capsys, *args)


@pytest.mark.parametrize(
    ('text', 'kind'),
    [
        ('', 'empty'),
        ('step,converged_loss,merged\n', 'no rows'),
        ('step,converged_loss,merged\n1,0.9,0\n', 'none is merged'),
        ('step,loss\n1,0.1\n', 'no such columns'),
        ('step,converged_loss,merged\n1,"0.1,1\n', 'an open quote'),
    ],
)
def test_broken_steps_are_named(tool, run, tmp_path, capsys, text, kind):
    (run / 'steps.csv').write_text(text)
    args = (run, tmp_path / 'masks', '--classes', 'cat,dog')
    assert call(tool, *args) == 1, kind
    assert 'steps.csv' in error(capsys.readouterr())


def test_a_list_of_nothing_is_named(tool, run, tmp_path, capsys):
    (tmp_path / 'empty.txt').write_text('\n')
    args = (run, tmp_path / 'masks', '--classes', 'cat,dog')
    assert call(tool, *args, '--list', tmp_path / 'empty.txt') == 1
    assert 'empty.txt' in error(capsys.readouterr())
