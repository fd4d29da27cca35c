import numpy as np
import pytest

from mmwsl.evaluation.class_maps import read_class_maps

MAPS = np.arange(12.0).reshape(2, 2, 3)


def test_maps_and_labels(tmp_path):
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
def test_what_is_wrong(tmp_path, maps, labels, words):
    path = str(tmp_path / '1.npz')
    np.savez(path, maps=maps, labels=labels)
    with pytest.raises(ValueError, match=words) as error:
        read_class_maps(path)
    assert str(error.value).startswith(f'{path}: ')


def test_other_files(tmp_path):
    with pytest.raises(ValueError, match=r'1\.npy: class maps are \.npz'):
        read_class_maps(str(tmp_path / '1.npy'))
    with pytest.raises(FileNotFoundError, match=r'1\.npz'):
        read_class_maps(str(tmp_path / '1.npz'))
