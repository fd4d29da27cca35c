import cv2
import pytest
import torch

from mmwsl.structures import WSLDataSample

CONFIG = """
train_dataloader = dict(dataset=dict(
    type='ToyDataset', num_images=5, pipeline=[
        dict(type='RandomFlip', prob=0.5), dict(type='PackWSLInputs')]))
val_dataloader = dict(dataset=dict(
    type='ToyDataset', num_images=5, test_mode=True, pipeline=[
        dict(type='LoadEvalAnnotations'),
        dict(type='Resize', scale=(64, 64)),
        dict(type='PackWSLInputs', eval_keys=('gt_sem_seg',))]))
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(CONFIG)
    return str(path)


def sample(counts=None):
    result = WSLDataSample().set_gt_label([0, 2, 3], num_classes=4)
    return result if counts is None else result.set_gt_count(counts)


def test_describe(tool):
    classes = ['cat', 'dog', 'emu', 'fox']
    assert tool.describe(sample(), classes) == 'cat, emu, fox'
    text = tool.describe(sample([3, 0, 1, 0]), classes)
    assert text == 'cat 3, emu, fox (difficult)'
    empty = WSLDataSample().set_gt_label([], num_classes=4)
    assert tool.describe(empty, classes) == 'no label'


@pytest.mark.parametrize('split', ['train', 'val'])
def test_pictures_are_written(tool, config, tmp_path, capsys, split):
    out = tmp_path / 'out'
    options = ['--out-dir', str(out), '--split', split, '--number', '3']
    assert tool.main([config, *options]) == 0
    sheet = out / f'contact_sheet_{split}.jpg'
    assert f'contact sheet: {sheet}' in capsys.readouterr().out
    assert cv2.imread(str(sheet)) is not None
    # Spread over the set, the first and the last one included.
    names = sorted(path.name for path in (out / 'toy' / '0').iterdir())
    assert names == ['000000.jpg', '000002.jpg', '000004.jpg']
    picture = cv2.imread(str(out / 'toy' / '0' / '000000.jpg'))
    assert picture.std() > 10
    # The ground truth is a second tile beside the picture.
    wide = picture.shape[1] > 1.5 * picture.shape[0]
    assert wide == (split == 'val')


def test_same_pictures_each_time(tool, config, tmp_path):
    pictures = []
    for name in ('a', 'b'):
        torch.rand(3)
        out = tmp_path / name
        tool.main([config, '--out-dir', str(out)])
        pictures.append((out / 'contact_sheet_train.jpg').read_bytes())
    assert pictures[0] == pictures[1]


def test_user_errors(tool, config, tmp_path, capsys):
    out = ['--out-dir', str(tmp_path / 'out')]
    for options, message in (
        (['--split', 'test'], 'has no test_dataloader'),
        (['--number', '0'], '--number must be at least 1'),
    ):
        with pytest.raises(SystemExit) as stop:
            tool.main([config, *out, *options])
        assert stop.value.code == 1
        assert message in capsys.readouterr().err
