import json

import numpy as np
import pytest

from mmwsl.evaluation.files import (
    class_indices,
    read_class_maps,
    read_class_names,
    read_class_scores,
    read_ids,
    read_image_labels,
    read_maps,
    read_score_map,
    without_suffix,
    write_metrics,
)

MAPS = np.arange(12.0).reshape(2, 2, 3)


def test_image_labels(tmp_path):
    path = tmp_path / 'labels.csv'
    path.write_text(
        'path,label\n'
        'a/1.jpg,cat|dog\n'
        'a/2.v1,cat,3\n'
        'a/2.v1,dog,0\n'
        '"b,c.png",cow,cat\n'
        'empty.png,\n'
    )
    assert read_image_labels(str(path)) == {
        'a/1': ['cat', 'dog'],
        'a/2.v1': ['cat'],
        'b,c': ['cow', 'cat'],
        'empty': [],
    }
    path.write_text('a/1.jpg\n')
    with pytest.raises(ValueError, match='labels.csv: line 1'):
        read_image_labels(str(path))


def test_class_names_and_indices(tmp_path):
    names = tmp_path / 'names.txt'
    names.write_text('potted plant\n\ncat\n')
    classes = read_class_names(str(names))
    assert classes == ['potted plant', 'cat']
    assert read_class_names('a, b') == ['a', 'b']
    indices = class_indices(['cat', 'potted plant', 'cat'], classes, 'x')
    assert indices.tolist() == [0, 1]
    with pytest.raises(ValueError, match="^x: class 'dog' is not"):
        class_indices(['dog'], classes, 'x')
    with pytest.raises(FileNotFoundError, match='gone.txt'):
        read_class_names('gone.txt')


def test_only_known_suffixes_are_cut():
    assert without_suffix('a\\b.JPG') == 'a/b'
    assert without_suffix('a/b.c') == 'a/b.c'


def test_metrics_are_valid_json(tmp_path):
    path = tmp_path / 'new' / 'out.json'
    write_metrics(str(path), {'mAP': float('nan'), 'F1': 1.5})
    assert json.loads(path.read_text()) == {'mAP': None, 'F1': 1.5}
    # What cannot be written leaves the file as it was.
    with pytest.raises(TypeError):
        write_metrics(str(path), {'mAP': 1.0, 'F1': 1j})
    assert json.loads(path.read_text()) == {'mAP': None, 'F1': 1.5}
    assert [p.name for p in path.parent.iterdir()] == ['out.json']


def test_pickles_are_not_read(tmp_path):
    path = str(tmp_path / 'a.npy')
    np.save(path, np.array({0: 1}, dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match='a.npy: .* a pickle.*read$'):
        read_score_map(path)
    with pytest.raises(ValueError, match='eval_seeds.py .*--allow-pickle'):
        read_maps(path, 1)


def test_scores_that_are_no_numbers(tmp_path):
    path = tmp_path / 'scores.npz'
    np.savez(path, ids=['a'], scores=[['x', 'y']])
    with pytest.raises(ValueError, match='scores.npz: scores are <U1'):
        read_class_scores(str(path))
    path = tmp_path / 'scores.csv'
    path.write_text('image,cat,dog\n')
    with pytest.raises(ValueError, match='scores.csv: no line with scores'):
        read_class_scores(str(path))


def test_ids_with_spaces(tmp_path):
    path = tmp_path / 'list.txt'
    path.write_text('photo 2.jpg\nphoto 1\n\nx/ a  b -1 \nnew one\n')
    known = {'photo', 'photo 2', 'x/ a  b'}
    found = ['photo 2', 'photo', 'x/ a  b', 'new one']
    assert read_ids(str(path), known.__contains__) == found
    path.write_text(' \n')
    with pytest.raises(ValueError, match='list.txt: names no image'):
        read_ids(str(path), known.__contains__)


def test_class_maps(tmp_path):
    path = str(tmp_path / '1.npz')
    np.savez(path, maps=MAPS, labels=[253, 0])
    maps, labels = read_class_maps(path)
    np.testing.assert_array_equal(maps, MAPS)
    assert maps.dtype == np.float32
    assert labels.tolist() == [253, 0]
    # Without a class, numpy makes labels of floats.
    np.savez(path, maps=MAPS[:0], labels=[])
    maps, labels = read_class_maps(path)
    assert maps.shape == (0, 2, 3)
    assert labels.dtype == np.int64


@pytest.mark.parametrize(
    ('maps', 'labels', 'words'),
    [
        (MAPS[0], [0, 1], r'found \(2, 3\) and \(2,\)'),
        (MAPS, [0], r'found \(2, 2, 3\) and \(1,\)'),
        (MAPS, [[0, 1]], r'and \(1, 2\)'),
        (MAPS, [1, 1], r'labels \[1, 1\] are not different'),
        (MAPS, [0, 254], 'from 0 to 253'),
        (MAPS, [-1, 0], r'labels \[-1, 0\]'),
        (MAPS, [0.5, 1], r'labels \[0.5, 1.0\]'),
        (MAPS + np.array([0, np.nan, 0]), [0, 1], 'not finite'),
        (MAPS.astype(str), [0, 1], 'maps'),
        (MAPS * 1e300, [0, 1], 'not finite'),
    ],
)
def test_broken_class_maps(tmp_path, maps, labels, words):
    path = str(tmp_path / '1.npz')
    np.savez(path, maps=maps, labels=labels)
    with pytest.raises(ValueError, match=words) as error:
        read_class_maps(path)
    assert str(error.value).startswith(f'{path}: ')


def test_files_without_class_maps(tmp_path):
    with pytest.raises(ValueError, match=r'1\.npy: class maps are \.npz'):
        read_class_maps(str(tmp_path / '1.npy'))
    with pytest.raises(FileNotFoundError, match=r'1\.npz'):
        read_class_maps(str(tmp_path / '1.npz'))
