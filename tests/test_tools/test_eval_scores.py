import json

import numpy as np
import pytest

from tool_calls import fails, metrics

SCORES = 'image,dog,cat\na/1.jpg,0.1,0.9\na/2,0.7,0.6\na/3,0.4,0.2\n'
LABELS = 'path,label\na/1.jpg,cat|dog\na/2.jpg,dog\na/3.jpg,cat,1\n'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'scores.csv').write_text(SCORES)
    (tmp_path / 'labels.csv').write_text(LABELS)
    return tmp_path


def run(tool, folder, scores='scores.csv', *args):
    labels = ['--labels', folder / 'labels.csv']
    return metrics(tool, folder, folder / scores, *labels, *args)


def test_csv_known_answer(tool, folder, capsys):
    found = run(tool, folder)
    # Both classes rank their positives first and third.
    assert found['mAP'] == 83.33
    assert found['precision'] == pytest.approx(66.67)
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == found


def test_columns_follow_the_names(tool, folder):
    expected = run(tool, folder)
    assert run(tool, folder, 'scores.csv', '--classes', 'cat,dog') == expected
    (folder / 'names.txt').write_text('cat\ndog\n')
    names = str(folder / 'names.txt')
    assert run(tool, folder, 'scores.csv', '--classes', names) == expected


def test_npz_equals_csv(tool, folder, capsys):
    np.savez(
        folder / 'scores.npz',
        ids=['a/3', 'a/2.png', 'a/1', 'a/4'],
        scores=np.array([[0.2, 0.4], [0.6, 0.7], [0.9, 0.1], [1, 1]]),
    )
    assert run(tool, folder, 'scores.npz') == run(tool, folder)
    assert '1 images' in capsys.readouterr().out


def test_single_label(tool, folder):
    (folder / 'labels.csv').write_text('a/1,cat\na/2,cat\na/3,dog\n')
    assert run(tool, folder, 'scores.csv', '--single-label') == {'top1': 66.67}


def test_labels_of_a_config(tool, folder, tmp_path):
    images = tmp_path / 'data'
    for name in ('cat', 'dog'):
        (images / name).mkdir(parents=True)
        (images / name / '1.jpg').write_bytes(b'never read')
    config = tmp_path / 'config.py'
    config.write_text(
        "test_dataloader = dict(dataset=dict(type='FolderDataset', "
        f"data_root={str(images)!r}, pipeline=[dict(type='Missing')], "
        'test_mode=True))\n'
    )
    scores = tmp_path / 'scores.csv'
    scores.write_text('cat/1,0.9,0.1\ndog/1,0.2,0.3\n')
    found = metrics(tool, tmp_path, scores, '--config', config)
    assert found['mAP'] == 100


@pytest.mark.parametrize(
    ('scores', 'message'),
    [
        ('a/1,0.1,0.2\n', 'no scores for 2 of 3 images, the first is a/2'),
        ('a/1,0.1,x\na/2,0.1,0.2\n', 'a/1: expected an image and 2 numbers'),
        ('a/1,0.1,0.2\na/2,0.1\n', 'a/2: expected an image and 2 numbers'),
        ('a/1,0.1,nan\n', 'a/1: scores hold NaN'),
        ('a/1,0.1,0.2\na/1.jpg,0.1,0.2\n', 'a/1 occurs more than once'),
        ('', 'no line with scores'),
        ('a/1,0.1\na/2,0.1\na/3,0.1\n', '1 scores for each image'),
        ('i,cat,cow\na/1,0.1,1\na/2,0.1,1\na/3,1,1\n', "class 'dog' is not"),
    ],
)
def test_bad_score_files_are_one_line(tool, folder, capsys, scores, message):
    (folder / 'scores.csv').write_text(scores)
    labels = ['--labels', folder / 'labels.csv']
    line = fails(tool, capsys, folder / 'scores.csv', *labels)
    assert line.startswith(f'error: {folder}')
    assert message in line


@pytest.mark.parametrize('name', ['missing.csv', 'missing.npz', 'bad.npz'])
def test_missing_or_broken_file(tool, folder, capsys, name):
    (folder / 'bad.npz').write_bytes(b'PK nothing')
    labels = ['--labels', folder / 'labels.csv']
    assert name in fails(tool, capsys, folder / name, *labels)
