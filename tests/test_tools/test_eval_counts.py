import json

import numpy as np
import pytest

from tool_calls import call, error, metrics
from tool_calls import fails as failure

COUNTS = 'image,dog,cat\na/1.jpg,0,1\na/2,2.4,0\na/3,1,-0.2\n'
LABELS = 'path,class,count\na/1.jpg,cat,1\na/2.jpg,dog,3\na/3.jpg,cat,0\n'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'counts.csv').write_text(COUNTS)
    (tmp_path / 'labels.csv').write_text(LABELS)
    return tmp_path


def run(tool, folder, *args, counts='counts.csv', labels='labels.csv'):
    truth = ['--labels', folder / labels] if labels else []
    return metrics(tool, folder, folder / counts, *truth, *args)


def fails(tool, folder, capsys, *args):
    labels = folder / 'labels.csv'
    arguments = [folder / 'counts.csv', '--labels', labels, *args]
    return failure(tool, capsys, *arguments)


def test_known_answer(tool, folder, capsys):
    found = run(tool, folder, '--round')
    # Rounded, dog: 0, -1, 1; cat: 0, 0, 0.
    assert found['mRMSE'] == pytest.approx(np.sqrt(2 / 3) / 2, abs=1e-4)
    assert found['mRMSE-nz'] == 0.5
    assert found['correlation'] > 0.9
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[-1])['mRMSE'] == found['mRMSE']
    plain = run(tool, folder)
    assert plain['bias'] == pytest.approx((-0.6 + 1 - 0.2) / 6, abs=1e-4)


def test_tables_of_counts_follow_names_and_ids(tool, folder):
    expected = run(tool, folder)
    (folder / 'true.csv').write_text(
        'x,cat,dog\na/3,0,0\na/1,1,0\na/2.png,0,3\n'
    )
    assert run(tool, folder, labels='true.csv') == expected
    np.savez(
        folder / 'true.npz',
        ids=['a/1', 'a/2', 'a/3'],
        counts=[[0, 1], [3, 0], [0, 0]],
        classes=['dog', 'cat'],
    )
    assert run(tool, folder, labels='true.npz') == expected
    np.savez(
        folder / 'counts.npz',
        ids=['a/4', 'a/1', 'a/2', 'a/3'],
        counts=[[9, 9], [0, 1], [2.4, 0], [1, -0.2]],
    )
    names = ('--classes', 'dog,cat')
    assert run(tool, folder, *names, counts='counts.npz') == expected


def test_images_of_nothing_count_as_zero(tool, folder):
    expected = run(tool, folder)
    (folder / 'labels.csv').write_text(LABELS.replace('3.jpg,cat,0', '3,'))
    assert run(tool, folder) == expected


@pytest.mark.parametrize(
    'wrap', ['{}', "dict(type='ConcatDataset', datasets=[{}])"]
)
def test_counts_of_a_config(tool, folder, capsys, wrap):
    config = folder / 'config.py'
    toy = (
        "dict(type='ToyDataset', num_images=3, "
        "pipeline=[dict(type='Missing')], test_mode=True)"
    )
    config.write_text(f'test_dataloader = dict(dataset={wrap.format(toy)})\n')
    dataset = tool.config_dataset(str(config), 'test')
    ids = [dataset.get_data_info(i)['img_id'] for i in range(3)]
    lines = [f'{img_id},1,1,1,1,1,1' for img_id in ids]
    (folder / 'counts.csv').write_text('\n'.join(lines))
    found = run(tool, folder, '--config', config, labels=None)
    assert found['mRMSE'] > 0
    output = capsys.readouterr().out
    assert 'has no train_dataloader' in output
    assert 'train-mean' not in output


@pytest.mark.parametrize(
    'text',
    ['path,cat,dog\na.jpg,0,1\nb.jpg,2,0\n', 'a,dog,1\nb,cat,2\n'],
)
def test_means_of_training_counts(tool, folder, capsys, text):
    (folder / 'train.csv').write_text(text)
    run(tool, folder, '--baseline', folder / 'train.csv')
    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if line.startswith('| train-mean'))
    # The means are 1 and 0.5; cat: 0, 1, 1, dog: 0.5, 2.5, 0.5 off.
    assert row.split()[5] == f'{(np.sqrt(2 / 3) + 1.5) / 2:.3f}'


def test_config_without_counts(tool, folder, capsys):
    (folder / 'data' / 'cat').mkdir(parents=True)
    (folder / 'data' / 'cat' / '1.jpg').write_bytes(b'never read')
    config = folder / 'config.py'
    config.write_text(
        "test_dataloader = dict(dataset=dict(type='FolderDataset', "
        f'data_root={str(folder / "data")!r}, pipeline=[]))\n'
    )
    assert call(tool, folder / 'counts.csv', '--config', config) == 1
    assert 'cat/1: no gt_count: the dataset' in error(capsys.readouterr())


@pytest.mark.parametrize(
    ('labels', 'message'),
    [
        ('a/1,cat,1\na/9,dog,2\n', 'no counts for 1 of 2 images, the first'),
        ('a/1,cat,-1\n', "labels.csv: line 1: count '-1' is not a whole"),
        ('a/1,cat,0.5\n', "labels.csv: line 1: count '0.5' is not a whole"),
        ('a/1,cat,1\na/2,cat\n', 'line 2: expected path,class,count'),
        ('a/1,cat,1\na/2,cat,\n', 'line 2: expected path,class,count'),
        ('i,dog,cat\na/1,1,-2\n', 'csv: a/1: counts [1.0, -2.0] are not'),
        ('a/1,cat,1\na/1,cat,2\n', "line 2: a/1 has 'cat' before"),
        ('a/1,cat,1\na/2,cat,x\n', 'line 2: expected path,class,count'),
        ('a/1,cow,1\n', "class 'cow' is not in the list"),
        ('i,dog,cat,cow\na/1,1,2,3\n', '2 counts for each image'),
        ('i,cat,cow\na/1,1,2\n', "unknown class names ['dog']"),
    ],
)
def test_bad_truth_is_one_line(tool, folder, capsys, labels, message):
    (folder / 'labels.csv').write_text(labels)
    line = fails(tool, folder, capsys)
    assert message in line


def test_bad_predictions_are_one_line(tool, folder, capsys):
    (folder / 'counts.csv').write_text('a/1,0,nan\n')
    assert 'a/1: counts hold NaN' in fails(tool, folder, capsys)
    (folder / 'counts.csv').unlink()
    assert 'counts.csv' in fails(tool, folder, capsys)
